"""Gives a stripped engine its weights back, from the graph that lies beside it. Nobody has seen it run yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.runtimes.tensorrt.log import Log


def refit(trt: Any, engine: Any, graph: Path, log: Log) -> None:  # noqa: ANN401  # an extra: its types are not checked
    """Fills the weights of the ONNX file at `graph` into `engine`.

    Raises:
        StepFailed: They do not fit.
    """
    refitter = trt.Refitter(engine, log.logger)
    source = trt.OnnxParserRefitter(refitter, log.logger)
    if not (source.refit_from_file(str(graph)) and refitter.refit_cuda_engine()):
        raise StepFailed(f"{trt.__name__} cannot fill in the engine's weights: {log.cause()}")
