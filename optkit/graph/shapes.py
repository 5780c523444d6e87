"""Shape information inside a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir


_MAKES_SEQUENCES = frozenset(
    {
        "Optional",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceMap",
        "SplitToSequence",
    }
)


def refresh_shapes(model: ir.Model) -> None:
    """Forgets every inner shape and type and infers them again, in place: a stale one misleads later steps.

    A graph with sequences is left as it is, for onnx_ir takes their types for those of tensors.
    """
    import onnx_ir as ir
    import onnx_ir.passes.common as passes

    if any(node.op_type in _MAKES_SEQUENCES for node in model.graph.all_nodes()) or not all(
        value.type is None or isinstance(value.type, ir.TensorType) for value in model.graph.inputs
    ):
        return
    outputs = set(model.graph.outputs)
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if value not in outputs:
                value.shape = None
                value.type = None
    passes.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)


def name_nodes(model: ir.Model) -> None:
    """Gives every node and value a unique name, in place; names of inputs and outputs stay."""
    import onnx_ir.passes.common as passes

    passes.NameFixPass()(model)
