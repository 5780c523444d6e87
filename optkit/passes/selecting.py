"""Which nodes of a graph the user, or a search, wants to stay in float."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.passes.quantize import Quantize

BUDGET = "the budget"
_CHOOSABLE = frozenset({"Conv", "ConvTranspose", "Gather", "Gemm", "LSTM", "MatMul"})
_SPLIT = "_matmul"
"""What is appended to the name of a Gemm that becomes a MatMul."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The options `ops` and `keep`, and what a search adds to them.

    Attributes:
        ops: Operators with weights that may run in int8; None means all.
        keep: Patterns of the names of nodes that stay float.
        floats: Names of further nodes that do.
    """

    ops: frozenset[str] | None = None
    keep: tuple[str, ...] = ()
    floats: frozenset[str] = frozenset()

    def __call__(self, node: ir.Node) -> bool:
        """Whether the node stays float."""
        return bool(self.reason(node))

    def reason(self, node: ir.Node) -> str:
        """Returns who keeps the node in float; empty if nobody does."""
        name = node.name or ""
        if name in self.floats:
            return BUDGET
        pattern = next((pattern for pattern in self.keep if _matches(name, pattern)), None)
        if pattern is not None:
            return f"keep: {pattern}"
        if self.ops is not None and node.op_type in _CHOOSABLE and _plain(node.op_type) not in self.ops:
            return f"ops: {', '.join(sorted(self.ops))}"
        return ""


def selection(do: Quantize, floats: frozenset[str] = frozenset()) -> Selection:
    """Returns what the options, and a search, keep in float."""
    ops = None if do.ops is None else frozenset(map(_plain, do.ops))
    return Selection(ops, do.keep, floats)


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name.removesuffix(_SPLIT), pattern)


def _plain(op_type: str) -> str:
    """A Gemm may become a MatMul and the other way round."""
    return "MatMul" if op_type == "Gemm" else op_type
