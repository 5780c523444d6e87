"""The `simplify` pass: folds constants and removes what does nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from optkit.core.keys import installed_version
from optkit.core.passes import Host, Pass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work

_TOOLS: tuple[Literal["onnxsim", "onnxslim"], ...] = ("onnxsim", "onnxslim")


@dataclass(frozen=True)
class Simplify(Pass):
    """Folds constants, removes dead and redundant nodes, fuses normalisation into convolutions."""

    version: ClassVar[int] = 2
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"onnx"})}
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = (*_TOOLS, "onnx", "onnx_ir", "onnxscript", "onnxruntime", "numpy")

    fold_limit_bytes: int = 1 << 20
    """Constants larger than this are computed at run time rather than stored, unless they replace others as large."""
    tools: tuple[Literal["onnxsim", "onnxslim"], ...] | None = None
    """Simplifiers of others that go on after optkit's own rewrites; by default those that are installed."""
    timed: bool = False
    """Whether the simpler graph is given up if ONNX Runtime takes longer for it on this machine."""
    tolerance: float = 1e-3
    """Largest change, relative to the largest value of an output, that is rounding."""

    def resolve(self, target: str, host: Host) -> Self:
        """Fills in the tools."""
        del target, host
        return replace(self, tools=self._installed() if self.tools is None else self.tools)

    def is_device_bound(self) -> bool:
        """What is decided by timing holds for this machine class."""
        return self.timed

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes the simpler graph, or the same one if it would have more nodes or compute something else."""
        from optkit.passes.simplifying import simplify

        work.progress(0.1, "simplifying")
        tools = self._installed() if self.tools is None else self.tools
        simplify(replace(self, tools=tools), inputs["model"], work)

    def _installed(self) -> tuple[Literal["onnxsim", "onnxslim"], ...]:
        return tuple(tool for tool in _TOOLS if installed_version(tool) != "absent")
