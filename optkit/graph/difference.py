"""What differs between two graphs: their ends, their nodes and the weights that they store."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.graph.clean import SCOPE, SOURCE
from optkit.graph.walk import initializers

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    import onnx_ir as ir

    Pairs = list[tuple[ir.Node, ir.Node]]
    Change = tuple[str | None, str | None]

_LONGEST = 60


@dataclass(frozen=True, slots=True)
class NodeDifference:
    """Nodes of both graphs, constants apart.

    Attributes:
        same: How many are in both with equal operator and attributes.
        changed: Name → what was, and what is.
        removed: Name → what it was; nodes that only the first graph has.
        added: Name → what it is; nodes that only the second graph has.
    """

    same: int
    changed: dict[str, tuple[str, str]]
    removed: dict[str, str]
    added: dict[str, str]


@dataclass(frozen=True, slots=True)
class WeightDifference:
    """Weights by content: one that has only another name is shared.

    Attributes:
        shared: How many are in both.
        shared_bytes: What these take.
        changed: Names under which the graphs store other values.
        removed: Names that only the first graph stores, with values that the second has nowhere.
        added: Names that only the second graph stores, with values that the first has nowhere.
    """

    shared: int
    shared_bytes: int
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]


def ends_difference(first: ir.Model, second: ir.Model) -> dict[str, Change]:
    """Returns the inputs and outputs that differ in type or shape, or that one graph lacks."""
    before, after = (dict(_ends(model)) for model in (first, second))
    names = dict.fromkeys([*before, *after])
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def _ends(model: ir.Model) -> Iterator[tuple[str, str]]:
    for kind, values in (("input", model.graph.inputs), ("output", model.graph.outputs)):
        for value in values:
            if kind == "output" or value.name not in model.graph.initializers:
                dtype = "unknown type" if value.dtype is None else value.dtype.name.lower()
                axes = "of unknown rank" if value.shape is None else f"[{', '.join(map(str, value.shape))}]"
                yield f"{kind} {value.name}", f"{dtype} {axes}"


def nodes_difference(first: ir.Model, second: ir.Model) -> NodeDifference:
    """Matches nodes by name, then by the tensor that they make, then by module, source line and operator."""
    left, right = (
        [node for node in model.graph.all_nodes() if node.op_type != "Constant"] for model in (first, second)
    )
    pairs: Pairs = []
    for key in (_by_name, _by_result, _by_origin):
        found = _matched(left, right, key)
        pairs += found
        taken = {id(node) for pair in found for node in pair}
        left, right = ([node for node in nodes if id(node) not in taken] for nodes in (left, right))
    changes = {_label(b): change for a, b in pairs if (change := _change(a, b))}
    return NodeDifference(
        same=len(pairs) - len(changes),
        changed=changes,
        removed={_label(node): _text(node) for node in left},
        added={_label(node): _text(node) for node in right},
    )


def _by_name(node: ir.Node) -> Hashable:
    return (node.name, node.op_type) if node.name else None


def _by_result(node: ir.Node) -> Hashable:
    return node.outputs[0].name if node.outputs else None


def _by_origin(node: ir.Node) -> Hashable:
    origin = node.metadata_props.get(SCOPE), node.metadata_props.get(SOURCE)
    return (*origin, node.op_type) if any(origin) else None


def _matched(left: Iterable[ir.Node], right: Iterable[ir.Node], key: Callable[[ir.Node], Hashable]) -> Pairs:
    """Pairs nodes of equal keys in order."""
    waiting: dict[Hashable, list[ir.Node]] = defaultdict(list)
    for node in left:
        if key(node) is not None:
            waiting[key(node)].append(node)
    return [(waiting[key(node)].pop(0), node) for node in right if waiting.get(key(node))]


def _change(before: ir.Node, after: ir.Node) -> tuple[str, str] | None:
    """Returns what was and what is, of the operator and of the attributes that differ."""
    if (before.domain, before.op_type) != (after.domain, after.op_type):
        return _text(before), _text(after)
    old, new = _attributes(before), _attributes(after)
    differ = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    if not differ:
        return None
    return tuple(  # type: ignore[return-value]  # two, for there are two mappings
        ", ".join(f"{name}={_cut(each.get(name, 'absent'))}" for name in differ) for each in (old, new)
    )


def _attributes(node: ir.Node) -> dict[str, str]:
    import onnx_ir as ir

    bodies = {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS}
    plain = [each for each in node.attributes.values() if each.is_ref() or each.type not in bodies]
    return {each.name: _value(each) for each in plain}


def _value(attribute: ir.Attr) -> str:
    import onnx_ir as ir

    if attribute.is_ref():
        return f"@{attribute.ref_attr_name}"
    if attribute.type == ir.AttributeType.TENSOR:
        tensor = attribute.as_tensor()
        return f"{tensor.dtype.name.lower()} {list(tensor.shape.numpy())} {_digest(tensor)[:8]}"
    if attribute.type in {ir.AttributeType.INTS, ir.AttributeType.FLOATS, ir.AttributeType.STRINGS}:
        return str(list(attribute.value))  # onnx_ir keeps a tuple or a list, as it was made
    return str(attribute.value)


def _label(node: ir.Node) -> str:
    return node.name or (node.outputs[0].name if node.outputs else "") or node.op_type


def _text(node: ir.Node) -> str:
    where = node.metadata_props.get(SOURCE) or node.metadata_props.get(SCOPE)
    name = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    return f"{name} ({where})" if where else name


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def weights_difference(first: ir.Model, second: ir.Model) -> WeightDifference:
    """Compares weights by digest, one at a time; what has a type and shape that the other graph lacks is not read."""
    left, right = ({value.name or "": tensor for value, tensor in initializers(model)} for model in (first, second))
    kinds = {_kind(tensor) for tensor in left.values()} & {_kind(tensor) for tensor in right.values()}
    before, after = (
        {name: _digest(each) for name, each in side.items() if _kind(each) in kinds} for side in (left, right)
    )
    contents = set(before.values()) & set(after.values())
    shared = [name for name, digest in after.items() if digest in contents]
    gone = [name for name in left if before.get(name) not in contents]
    new = [name for name in right if after.get(name) not in contents]
    changed = [name for name in new if name in left]
    return WeightDifference(
        shared=len(shared),
        shared_bytes=sum(right[name].nbytes for name in shared),
        changed=tuple(changed),
        removed=tuple(name for name in gone if name not in right),
        added=tuple(name for name in new if name not in left),
    )


def _kind(tensor: ir.TensorProtocol) -> tuple[str, tuple[int, ...]]:
    return tensor.dtype.name, tuple(tensor.shape.numpy())


def _digest(tensor: ir.TensorProtocol) -> str:
    """Hashes what the tensor's file is mapped to, without copying it where its bytes lie as numpy has them."""
    import numpy as np

    if tensor.dtype.name == "STRING":
        return hashlib.sha256(repr(list(tensor.string_data())).encode()).hexdigest()  # type: ignore[attr-defined]  # a StringTensor has it
    array = np.ascontiguousarray(tensor.numpy())
    return hashlib.sha256(array.reshape(-1).view(np.uint8).data).hexdigest()
