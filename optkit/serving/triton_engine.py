"""Triton's configuration for TensorRT: plans of its own, and ONNX graphs that ONNX Runtime gives to TensorRT.

Fields: https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
Parameters: https://github.com/triton-inference-server/onnxruntime_backend (section "ONNX Runtime with TensorRT")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError
from optkit.core.interface import shape_at
from optkit.runtimes.tensorrt.plan import PLAN_FILE, read_about

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.interface import Interface

PLATFORM = "tensorrt_plan"
MODEL_FILE = "model.plan"
ENGINES = frozenset({"tensorrt", "tensorrt-rtx"})


def plan_of(folder: Path) -> Path:
    """Returns the plan in an engine artifact.

    Raises:
        UsageError: It is stripped: Triton fills in no weights.
    """
    if read_about(folder).get("stripped"):
        raise UsageError("Triton serves no engine whose weights were stripped", hint="leave `strip` out")
    return folder / PLAN_FILE


def select_profiles(config: Any, folder: Path) -> None:  # noqa: ANN401  # a protobuf message has no static type
    """Lets the one instance group use every optimization profile of the engine: Triton picks by the request's shape."""
    count = len(read_about(folder)["profiles"])
    if count > 1:
        config.instance_group[0].profile.extend(str(index) for index in range(count))


def capture_graphs(config: Any, interface: Interface) -> None:  # noqa: ANN401  # likewise
    """Has the engine's launches at the tuned sizes captured in a CUDA graph."""
    config.optimization.cuda.graphs = True
    spec = config.optimization.cuda.graph_spec.add()
    batched = config.max_batch_size > 0
    sizes = interface.sizes("opt")
    if batched:
        spec.batch_size = sizes["batch"]
    for tensor in interface.inputs:
        shape = shape_at(tensor, sizes)
        spec.input[tensor.name].dim.extend(shape[1:] if batched else shape)


def accelerate(config: Any, graph: Path) -> None:  # noqa: ANN401  # likewise
    """Has ONNX Runtime give the graph to TensorRT, which builds engines at the first request and keeps them."""
    accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator.add(name="tensorrt")
    accelerator.parameters["precision_mode"] = _precision(graph)
    accelerator.parameters["trt_engine_cache_enable"] = "true"
    accelerator.parameters["trt_engine_cache_path"] = "/tmp/optkit-engines"  # noqa: S108  # on the server


def _precision(graph: Path) -> str:
    """Returns what ONNX Runtime's TensorRT provider must allow for the numbers of the graph."""
    import onnx_ir as ir

    from optkit.graph.load import load_model
    from optkit.graph.walk import initializers

    model = load_model(graph)
    if any(node.op_type == "QuantizeLinear" for node in model.graph.all_nodes()):
        return "INT8"
    half = any(tensor.dtype is ir.DataType.FLOAT16 for _, tensor in initializers(model))
    return "FP16" if half else "FP32"
