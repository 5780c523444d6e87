"""Finds products with a constant matrix: what weight-only quantization works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.graph.walk import is_standard

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Matrix:
    """A product `x @ w`.

    Attributes:
        node: MatMul, or a Gemm without scaling.
        weight: The initializer.
        transposed: Whether it is stored [N, K].
    """

    node: ir.Node
    weight: ir.Value
    transposed: bool

    @property
    def shape(self) -> tuple[int, int]:
        """(K, N)."""
        rows, columns = (int(size) for size in _tensor(self.weight).shape.numpy())
        return (columns, rows) if self.transposed else (rows, columns)

    def read(self) -> NDArray[Any]:
        """Returns the weight as a view [K, N]; of a mapped file, nothing is copied."""
        array: NDArray[Any] = _tensor(self.weight).numpy()
        return array.T if self.transposed else array


def find_matrices(model: ir.Model) -> tuple[list[Matrix], dict[str, str]]:
    """Returns the products with a constant float32 matrix, and node name → why not for the other products."""
    found: list[Matrix] = []
    left: dict[str, str] = {}
    for node in model.graph.all_nodes():
        if not is_standard(node, "MatMul", "Gemm"):
            continue
        reason, matrix = _matrix(node)
        if matrix is None:
            left[node.name or ""] = reason
        else:
            found.append(matrix)
    return found, left


def last_products(model: ir.Model, matrices: list[Matrix]) -> set[ir.Node]:
    """Returns the products on whose way to an output of the graph no other one of `matrices` lies."""
    products = {matrix.node for matrix in matrices}
    pending = [value.producer() for value in model.graph.outputs]
    last: set[ir.Node] = set()
    seen: set[ir.Node | None] = {None}
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node in products:
            last.add(node)
        else:
            pending.extend(value.producer() for value in node.inputs if value is not None)
    return last


def _matrix(node: ir.Node) -> tuple[str, Matrix | None]:
    data, operand = node.inputs[0], node.inputs[1]
    if data is None or operand is None:
        return "an input is absent", None
    if node.op_type == "Gemm" and not _is_plain(node):
        return "it scales or transposes its input", None
    weight, transposed = _through_transpose(operand)
    transposed ^= node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1
    if weight.const_value is None:
        return "both factors are activations", None
    if len(weight.const_value.shape) != 2:  # noqa: PLR2004  # rows and columns
        return "its weight is no matrix", None
    if weight.const_value.dtype.name != "FLOAT":
        return f"its weight is {weight.const_value.dtype.name.lower()}", None
    return "", Matrix(node, weight, transposed)


def _is_plain(node: ir.Node) -> bool:
    attributes = node.attributes
    return (
        attributes.get_float("alpha", 1.0) == 1.0
        and attributes.get_float("beta", 1.0) == 1.0
        and attributes.get_int("transA", 0) == 0
    )


def _through_transpose(value: ir.Value) -> tuple[ir.Value, bool]:
    """Returns the matrix behind a Transpose: large weights are often stored as the framework held them."""
    node = value.producer()
    if node is None or not is_standard(node, "Transpose"):
        return value, False
    source = node.inputs[0]
    axes = node.attributes.get_ints("perm", (1, 0))
    if source is None or source.const_value is None or list(axes) != [1, 0]:
        return value, False
    return source, True


def _tensor(value: ir.Value) -> ir.TensorProtocol:
    if value.const_value is None:
        raise ValueError(f"{value.name} is no constant")
    return value.const_value
