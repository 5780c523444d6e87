"""How far a change of number formats moved the outputs: noted, not judged, for gates judge on real data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.measure.feeding import made_up_inputs
from optkit.measure.parity import compare_outputs
from optkit.passes.calibration import calibration_feeds
from optkit.passes.onnx_step import error_note, open_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.core.interface import Interface


def one_feed(inputs: Mapping[str, Path], interface: Interface) -> dict[str, NDArray[Any]]:
    """Returns a batch of the calibration data, if the step has any, or made-up inputs."""
    if "calibration" in inputs:
        return next(calibration_feeds(inputs["calibration"], interface))[0]
    return made_up_inputs(interface, interface.sizes("opt"), seed=0)


def output_quality(
    inputs: Mapping[str, Path], out: Path, interface: Interface, form: str
) -> dict[str, dict[str, float | None]]:
    """Returns per output how far the artifact at `out` is from the step's model.

    Raises:
        StepFailed: An output became NaN or infinite; says so with `form`, such as `int8`.
    """
    import numpy as np

    feed = one_feed(inputs, interface)
    before = open_runtime("onnxruntime", inputs["model"]).run(feed)
    after = open_runtime("onnxruntime", out).run(feed)
    for name, array in after.items():
        if array.dtype.kind == "f" and not np.isfinite(array[np.isfinite(before[name])]).all():
            raise StepFailed(f"output '{name}' became NaN or infinite in {form}")
    return {error.output: error_note(error) for error in compare_outputs(before, after)}
