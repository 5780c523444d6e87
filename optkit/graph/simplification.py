"""Simplification by third parties: constants folded, dead and redundant nodes removed."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

from optkit.graph.save import INLINE_LIMIT, to_proto, weight_bytes
from optkit.graph.shapes import refresh_shapes
from optkit.graph.walk import operator_count

if TYPE_CHECKING:
    import onnx_ir as ir


def simplified(model: ir.Model, limit: int) -> ir.Model:
    """Returns the simplified graph.

    It comes from onnxsim, or, where that adds nodes or the model is too large for one protobuf, from onnxscript.

    Args:
        model: The graph; it may be changed.
        limit: Largest constant to fold, in bytes.
    """
    if weight_bytes(model) > INLINE_LIMIT:
        return _optimized(model, limit)
    import onnx_ir as ir
    import onnxsim

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        proto, _ = onnxsim.simplify(to_proto(model), tensor_size_threshold=f"{limit}B")
    result = ir.serde.deserialize_model(proto)
    # It writes a protocol of itself there, which may be larger than the graph.
    result.metadata_props.clear()
    result.metadata_props.update(model.metadata_props)
    if operator_count(result) > operator_count(model):
        return _optimized(model, limit)
    refresh_shapes(result)
    return result


def _optimized(model: ir.Model, limit: int) -> ir.Model:
    from onnxscript import optimizer

    optimizer.optimize_ir(model, input_size_limit=limit, output_size_limit=limit)
    refresh_shapes(model)
    return model
