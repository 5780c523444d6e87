"""Runs a model over a dataset and keeps what it says about each sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from optkit.core import interface
from optkit.core.passes import Pass, Work

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Predict(Pass):
    """Runs a model over a dataset; metrics compare the predictions of two models sample by sample."""

    version: ClassVar[int] = 1
    roles: ClassVar[Mapping[str, frozenset[str]]] = {
        "model": frozenset({"torch", "program", "onnx", "engine"}),
        "data": frozenset({"dataset"}),
    }
    produces: ClassVar[str] = "predictions"
    needs: ClassVar[tuple[str, ...]] = ("numpy", "onnxruntime", "openvino", "torch")
    # Kernels differ between machines, and so do the last bits of what they compute.
    device_bound: ClassVar[bool] = True

    runtime: str
    """Runtime that runs the model: torch, onnxruntime, openvino, tensorrt or tensorrt-rtx."""
    outputs: tuple[str, ...] = ()
    """Outputs to keep; none means all of them."""
    threads: int = 1
    """Threads that the runtime uses; they may change the last bits of the outputs."""

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes a predictions folder; see `optkit.measure.predictions` for its format."""
        from optkit.data.dataset import open_dataset
        from optkit.measure.predict import predict
        from optkit.runtimes.table import runtime_named

        dataset = open_dataset(inputs["data"])
        session = runtime_named(self.runtime).open(inputs["model"], self.threads)
        total = len(dataset)
        for done in predict(session, interface.read(inputs["model"]), dataset, self.outputs, work.out):
            work.progress(done / total, f"{done} of {total} samples")
