"""Types, shapes and small values of one node's results, by ONNX's own inference and its reference evaluator."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optkit.graph import known
from optkit.graph.contrib_shapes import contrib_outputs
from optkit.graph.known import SMALL, UNKNOWN, Known
from optkit.graph.walk import is_standard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx
    import onnx.defs
    import onnx_ir as ir
    from numpy.typing import NDArray

    Attributes = Mapping[str, ir.Attr]
    Memo = dict[tuple[bytes, ...], tuple[Known, ...]]

_RANDOM = frozenset({"Bernoulli", "Dropout", "Multinomial", "RandomNormalLike", "RandomUniformLike"})


@dataclass(slots=True)
class Inference:
    """Infers node by node; equal nodes with equal inputs, as in repeated layers, are inferred once.

    Attributes:
        opsets: Domain → version.
    """

    opsets: Mapping[str, int]
    _memo: Memo = field(default_factory=dict)
    _protos: dict[ir.Node, tuple[onnx.NodeProto, bytes]] = field(default_factory=dict)
    _weights: dict[ir.Value, Known] = field(default_factory=dict)

    def stored(self, value: ir.Value) -> Known:
        """Returns what is known of a weight."""
        if value not in self._weights:
            self._weights[value] = known.stored(value.const_value) if value.const_value is not None else UNKNOWN
        return self._weights[value]

    def outputs(self, node: ir.Node, attributes: Attributes, inputs: Sequence[Known | None]) -> tuple[Known, ...]:
        """Returns what is known of each output.

        Args:
            node: The node; one with a body is not for this.
            attributes: Its attributes, with references to a function's attributes resolved.
            inputs: What is known of each input; None for one that is left out.
        """
        if is_standard(node, "Constant"):
            return (_constant(attributes),)
        proto, text = self._proto(node, attributes, inputs)
        key = (text, *(each.type if each else b"-" for each in inputs), *map(_bytes, inputs))
        if key not in self._memo:
            self._memo[key] = self._inferred(node, proto, attributes, inputs)
        return self._memo[key]

    def _proto(
        self, node: ir.Node, attributes: Attributes, inputs: Sequence[Known | None]
    ) -> tuple[onnx.NodeProto, bytes]:
        if any(attribute.is_ref() for attribute in node.attributes.values()):  # another in each call of its function
            proto = _anonymous(node, attributes, inputs)
            return proto, proto.SerializeToString()
        if node not in self._protos:
            proto = _anonymous(node, attributes, inputs)
            self._protos[node] = proto, proto.SerializeToString()
        return self._protos[node]

    def _inferred(
        self, node: ir.Node, proto: onnx.NodeProto, attributes: Attributes, inputs: Sequence[Known | None]
    ) -> tuple[Known, ...]:
        schema = self._schema(node)
        if schema is None:
            return contrib_outputs(node, attributes, inputs)
        outputs = self._typed(schema, proto, inputs)
        first = inputs[0] if inputs else None
        if node.op_type in {"Shape", "Size"} and first is not None:
            return (_sizes(node, attributes, first) or outputs[0],)
        return _evaluated(proto, inputs, outputs, self.opsets) or outputs

    def _schema(self, node: ir.Node) -> onnx.defs.OpSchema | None:
        import onnx.defs

        domain = "" if node.domain == "ai.onnx" else node.domain
        version = self.opsets.get(domain, 1)
        if not onnx.defs.has(node.op_type, domain=domain, max_inclusive_version=version):
            return None
        return onnx.defs.get_schema(node.op_type, max_inclusive_version=version, domain=domain)

    def _typed(
        self, schema: onnx.defs.OpSchema, proto: onnx.NodeProto, inputs: Sequence[Known | None]
    ) -> tuple[Known, ...]:
        import onnx
        from onnx import helper, numpy_helper, shape_inference

        given = {name: each for name, each in zip(proto.input, inputs, strict=True) if name and each is not None}
        if not all(each.type for each in given.values()):
            return (UNKNOWN,) * len(proto.output)
        types = {name: onnx.TypeProto.FromString(each.type) for name, each in given.items()}
        values = {name: each.value for name, each in given.items() if each.value is not None}
        data = {name: numpy_helper.from_array(value, name) for name, value in values.items()}
        imports = [helper.make_opsetid(domain, version) for domain, version in self.opsets.items()]
        try:
            found = shape_inference.infer_node_outputs(schema, proto, types, data, opset_imports=imports)
        except (shape_inference.InferenceError, RuntimeError):
            return (UNKNOWN,) * len(proto.output)
        return tuple(known.of_type(found[name]) if name in found else UNKNOWN for name in proto.output)


def _bytes(each: Known | None) -> bytes:
    return b"-" if each is None or each.value is None else each.value.tobytes()


def _anonymous(node: ir.Node, attributes: Attributes, inputs: Sequence[Known | None]) -> onnx.NodeProto:
    import onnx
    import onnx_ir as ir

    proto = onnx.NodeProto(op_type=node.op_type, domain="" if node.domain == "ai.onnx" else node.domain)
    proto.input.extend(f"i{index}" if each is not None else "" for index, each in enumerate(inputs))
    proto.output.extend(f"o{index}" if value.name else "" for index, value in enumerate(node.outputs))
    proto.attribute.extend(ir.serde.serialize_attribute(attribute) for attribute in attributes.values())
    return proto


def _constant(attributes: Attributes) -> Known:
    import numpy as np

    if "value" in attributes:
        return known.stored(attributes["value"].as_tensor())
    kinds = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
    for name, kind in kinds.items():
        if name in attributes:
            return known.array(np.array(attributes[name].value, kind))
    return UNKNOWN


def _sizes(node: ir.Node, attributes: Attributes, source: Known) -> Known | None:
    import numpy as np

    if source.shape is None:
        return None
    if node.op_type == "Size":
        return None if source.elements is None else known.array(np.array(source.elements, np.int64))
    ends = [attributes[name].as_int() if name in attributes else None for name in ("start", "end")]
    sizes = source.shape[slice(*ends)]
    return known.array(np.array(sizes, np.int64)) if None not in sizes else None


def _evaluated(
    proto: onnx.NodeProto, inputs: Sequence[Known | None], outputs: Sequence[Known], opsets: Mapping[str, int]
) -> tuple[Known, ...] | None:
    """Returns the outputs with values, where they follow from small inputs."""
    given = {name: each.value for name, each in zip(proto.input, inputs, strict=True) if each is not None}
    follows = given and proto.domain == "" and proto.op_type not in _RANDOM
    if not follows or any(value is None for value in given.values()) or not all(map(_is_small, outputs)):
        return None
    values = _run(proto, given, opsets)
    return tuple(map(known.array, values)) if values is not None else None


def _is_small(output: Known) -> bool:
    return output.elements is not None and output.elements <= SMALL


def _run(proto: onnx.NodeProto, given: Mapping[str, Any], opsets: Mapping[str, int]) -> list[NDArray[Any]] | None:
    import numpy as np
    from onnx import TypeProto, helper
    from onnx.reference import ReferenceEvaluator

    ends = (
        [helper.make_value_info(name, TypeProto()) for name in given],
        [helper.make_value_info(name, TypeProto()) for name in proto.output if name],
    )
    imports = [helper.make_opsetid("", opsets.get("", 1))]
    model = helper.make_model(helper.make_graph([proto], "node", *ends), opset_imports=imports)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # numpy's, on whatever sizes a graph divides by
            values = ReferenceEvaluator(model).run(None, dict(given))
    except Exception:  # noqa: BLE001  # the evaluator raises what numpy raises: then the values stay unknown
        return None
    return [np.asarray(value) for value in values] if len(values) == len(proto.output) else None
