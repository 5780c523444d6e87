"""Opens a graph in ONNX Runtime: the last word on whether it is valid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.core.messages import short_message
from optkit.graph.save import has_data_file

if TYPE_CHECKING:
    from pathlib import Path

_FATAL = 4


def open_graph(path: Path, *, optimize: bool = True, save_optimized: Path | None = None, threads: int = 0) -> Any:  # noqa: ANN401  # onnxruntime ships no types
    """Returns an `onnxruntime.InferenceSession` on the CPU; weights in a file of their own stay there.

    Args:
        path: The ONNX file.
        optimize: Whether ONNX Runtime may rewrite the graph.
        save_optimized: Where to write the rewritten graph, with its weights beside it.
        threads: Intra-op threads; 0 means one per core.

    Raises:
        StepFailed: ONNX Runtime refuses the graph; says why in one line, without paths of this machine.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL  # it would print what the exception says too
    options.intra_op_num_threads = threads
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED if optimize else levels.ORT_DISABLE_ALL
    if has_data_file(path.parent):  # it would copy them into another order, which is faster and doubles their memory
        options.add_session_config_entry("session.disable_prepacking", "1")
    if save_optimized is not None:
        options.optimized_model_filepath = str(save_optimized)
        key = "session.optimized_model_external_initializers_"
        options.add_session_config_entry(f"{key}file_name", f"{save_optimized.name}.data")
        options.add_session_config_entry(f"{key}min_size_in_bytes", "1024")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  # onnxruntime's exceptions share no other base
        raise StepFailed(f"ONNX Runtime refuses the graph: {short_message(error)}") from None
