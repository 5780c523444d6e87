"""Writes int8 graphs with ONNX Runtime's quantizer, kept to what we measured and placed ourselves."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.graph.gemm import split_gemm
from optkit.graph.save import to_proto

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx
    import onnx_ir as ir

    from optkit.quant.profiles import Profile


@dataclass(frozen=True, slots=True)
class Format:
    """How weights become int8.

    Attributes:
        per_channel: One scale per output channel, else one per tensor.
        reduce_range: Keep to 7 bits.
    """

    per_channel: bool
    reduce_range: bool


def write_static(
    model: ir.Model,
    nodes: Sequence[ir.Node],
    ranges: Mapping[str, tuple[float, float]],
    profile: Profile,
    form: Format,
) -> ir.Model:
    """Returns the graph with Q/DQ pairs around `nodes`, scaled to `ranges` (tensor name → low, high).

    Raises:
        StepFailed: ONNX Runtime's quantizer gives up.
    """
    import numpy as np
    import onnx_ir as ir
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import TensorData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    data = {name: TensorData(lowest=np.float32(low), highest=np.float32(high)) for name, (low, high) in ranges.items()}
    options = {
        "ActivationSymmetric": profile.signed_activations,
        "WeightSymmetric": True,
        "QuantizeBias": profile.quantize_bias,
        "OpTypesToExcludeOutputQuantization": sorted(profile.float_outputs),
        # Node order is ours; it would otherwise quantize data movement that we left float.
        "ForceQuantizeNoInputCheck": False,
    }
    activation = QuantType.QInt8 if profile.signed_activations else QuantType.QUInt8
    with _reported():
        proto = QDQQuantizer(
            _prepared(model, ranges), form.per_channel, form.reduce_range, QuantType.QInt8, activation, data,
            [node.name for node in nodes], [], sorted({node.op_type for node in nodes}), options,
        ).quantize_model()  # fmt: skip
    return ir.serde.deserialize_model(proto)


def write_dynamic(model: ir.Model, form: Format) -> ir.Model:
    """Returns the graph with int8 weights in matrix products and LSTMs; activations are quantized at run time.

    Convolutions stay float: ConvInteger is several times slower than a float convolution.

    Raises:
        StepFailed: ONNX Runtime's quantizer gives up.
    """
    import onnx
    import onnx_ir as ir
    import onnx_ir.passes.common as passes
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
    from onnxruntime.quantization.quant_utils import QuantizationMode

    split = model.clone()
    split_gemm(split)
    passes.RemoveUnusedNodesPass()(split)
    proto = _prepared(split, ())
    # Behind an operator of ONNX Runtime's own, inference knows no types.
    options = {"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT}
    with _reported():
        quantizer = ONNXQuantizer(
            proto, form.per_channel, form.reduce_range, QuantizationMode.IntegerOps, False,  # noqa: FBT003  # not static; the API takes it by position
            QuantType.QInt8, QuantType.QUInt8, None, [], [], ["MatMul", "LSTM"], options,
        )  # fmt: skip
        quantizer.quantize_model()
    return ir.serde.deserialize_model(quantizer.model.model)


def _prepared(model: ir.Model, floats: Mapping[str, Any] | Sequence[str]) -> onnx.ModelProto:
    """Returns the graph with the types that the quantizer looks up: it skips a tensor without one silently."""
    import onnx_ir as ir

    copy = model.clone()
    for node in copy.graph:
        for value in node.outputs:
            if value.name in floats and value.dtype is None:
                value.type = ir.TensorType(ir.DataType.FLOAT)
    proto = to_proto(copy)
    # Says that shapes are inferred: else it writes the model to disk and infers them again, with less success.
    proto.metadata_props.add(key="onnx.infer", value="onnxruntime.quant")
    return proto


@contextmanager
def _reported() -> Iterator[None]:
    """Silences the quantizer's advice, and turns what it raises into an error of the step."""
    logging.disable(logging.WARNING)
    try:
        yield
    except Exception as error:
        raise StepFailed(f"ONNX Runtime's quantizer failed: {type(error).__name__}: {error}") from error
    finally:
        logging.disable(logging.NOTSET)
