"""Facts about a graph: operators, weights, cost, precision. No weight is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.graph.bulk import without_collection
from optkit.graph.cost import model_cost
from optkit.graph.describe import describe
from optkit.graph.quantization_state import precisions
from optkit.graph.walk import initializers, nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import onnx_ir as ir

    from optkit.core.interface import Interface, Tensor
    from optkit.graph.cost import ModelCost

_QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
_LARGEST = 5


@dataclass(frozen=True, slots=True)
class End:
    """An input or output.

    Attributes:
        name: Its name.
        dtype: Its element type, or what else it is, such as a sequence.
        shape: Sizes and names of axes; None if the rank is unknown.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a graph is made of.

    Attributes:
        inputs: What it takes.
        outputs: What it returns.
        dims: Dynamic dimension → min, opt and max; defaults, unless the model comes with its own.
        opsets: Domain → version.
        domains: Domain → nodes.
        nodes: How many there are, subgraphs and functions included.
        subgraphs: Bodies of If, Loop and the like.
        functions: Functions that the model defines.
        operators: Operator → count, the most frequent first; subgraphs included.
        parameters: Elements of all weights.
        weight_bytes: Bytes of all weights.
        weight_types: Element type → bytes.
        largest: The largest weights, name → bytes.
        cost: What a run computes and holds.
        quantized: Whether it holds quantization operators or integer kernels.
        precisions: Operator → precision → nodes, read from the graph.
    """

    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    dims: dict[str, dict[str, int]]
    opsets: dict[str, int]
    domains: dict[str, int]
    nodes: int
    subgraphs: int
    functions: int
    operators: dict[str, int]
    parameters: int
    weight_bytes: int
    weight_types: dict[str, int]
    largest: dict[str, int]
    cost: ModelCost
    quantized: bool
    precisions: dict[str, dict[str, int]]


@without_collection()
def inspect_graph(model: ir.Model, interface: Interface | None = None) -> Inspection:
    """Returns the facts about a loaded model.

    Args:
        model: It is sorted, and types are filled in, in place.
        interface: What it takes and returns, if the model comes with that; otherwise read from the graph.

    Raises:
        UsageError: The graph has a cycle.
    """
    _sort(model)
    interface = interface or _described(model)
    operators = Counter(node.op_type for node in nodes(model))
    weights = list(_weights(model))
    by_type: Counter[str] = Counter()
    for _, tensor in weights:
        by_type[tensor.dtype.name.lower()] += tensor.nbytes
    largest = sorted(((name, tensor.nbytes) for name, tensor in weights), key=lambda item: -item[1])
    return Inspection(
        inputs=_ends(model.graph.inputs, interface.inputs if interface else None, model),
        outputs=_ends(model.graph.outputs, interface.outputs if interface else None, model),
        dims={name: asdict(dim) for name, dim in interface.dims.items()} if interface else {},
        opsets={domain or "ai.onnx": version for domain, version in sorted(model.opset_imports.items())},
        domains=dict(Counter(node.domain or "ai.onnx" for node in nodes(model)).most_common()),
        nodes=operators.total(),
        subgraphs=sum(1 for _ in model.graph.subgraphs()),
        functions=len(model.functions),
        operators=dict(operators.most_common()),
        parameters=sum(tensor.size for _, tensor in weights),
        weight_bytes=sum(tensor.nbytes for _, tensor in weights),
        weight_types=dict(by_type.most_common()),
        largest=dict(largest[:_LARGEST]),
        cost=model_cost(model, interface, _LARGEST),
        quantized=any(
            name in _QUANTIZED or name.startswith(("QLinear", "QGemm", "MatMulInteger", "MatMulNBits"))
            for name in operators
        ),
        precisions=precisions(model),
    )


def _sort(model: ir.Model) -> None:
    try:
        model.graph.sort()
    except ValueError as error:
        raise UsageError(f"the graph cannot be put in order: {error}") from None


def _described(model: ir.Model) -> Interface | None:
    """Returns the interface, or None for a graph with sequences, texts or tensors of unknown rank."""
    try:
        return describe(model)
    except UsageError:
        return None


def _weights(model: ir.Model) -> Iterator[tuple[str, ir.TensorProtocol]]:
    """Yields the tensors that are stored, as initializers or in nodes."""
    import onnx_ir as ir

    yield from ((value.name or "", tensor) for value, tensor in initializers(model) if _has_size(tensor))
    for node in nodes(model):
        value = node.attributes.get("value") if node.op_type == "Constant" else None
        if value is not None and not value.is_ref() and value.type == ir.AttributeType.TENSOR:
            yield node.outputs[0].name or "", value.as_tensor()


def _has_size(tensor: ir.TensorProtocol) -> bool:
    return tensor.dtype.name != "STRING"


def _ends(values: Iterable[ir.Value], said: Sequence[Tensor] | None, model: ir.Model) -> tuple[End, ...]:
    if said is not None:
        return tuple(End(each.name, each.dtype, each.shape) for each in said)
    return tuple(_end(value) for value in values if value.name not in model.graph.initializers)


def _end(value: ir.Value) -> End:
    import onnx_ir as ir

    shape = None
    if value.shape is not None:
        shape = tuple(axis if isinstance(axis, int) else axis.value or "?" for axis in value.shape)
    if value.dtype is None:
        return End(value.name or "", "unknown", shape)
    kind = value.dtype.name.lower()
    plain = isinstance(value.type, ir.TensorType)
    return End(
        value.name or "", kind if plain else f"{type(value.type).__name__.removesuffix('Type')} of {kind}", shape
    )
