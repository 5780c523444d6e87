"""What recipes may name: our own passes, metrics, emitters and targets, and those of installed plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.recipe import Tables, Target

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.interface import Interface
    from optkit.core.recipe import Task

_NO_ENGINE = "the recipe builds no engine, so the target's latency is unknown"
TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("onnxruntime-cpu", "onnxruntime"),
        Target("openvino-cpu", "openvino"),
        # The graph is laid out for TensorRT; its accuracy is measured in ONNX Runtime, which computes the same numbers.
        Target("tensorrt", "onnxruntime", timed=False, why_not=_NO_ENGINE),
        Target("tensorrt-rtx", "onnxruntime", timed=False, why_not=_NO_ENGINE),
    )
}


def load_tables() -> Tables:
    """Returns all tables. A plugin's entry point adds a name; it cannot replace one of ours."""
    from optkit.measure.metrics import known_metrics
    from optkit.passes import PASSES
    from optkit.serving import EMITTERS

    return Tables(
        passes=PASSES.with_plugins("optkit.passes"),
        metrics=known_metrics(),
        emitters=EMITTERS.with_plugins("optkit.emitters"),
        targets=TARGETS,
        describe=_describe,
    )


def _describe(folder: Path, task: Task) -> Interface:
    from optkit.runtimes.huggingface import describe
    from optkit.runtimes.huggingface_files import model_files

    model_files(folder)  # before a library is loaded that takes seconds
    return describe(folder, task)
