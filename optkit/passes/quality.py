"""How far a change of number formats moved the outputs: noted, not judged, for gates judge on real data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.measure.feeding import made_up_inputs
from optkit.measure.parity import compare_outputs
from optkit.passes.calibration import calibration_feeds
from optkit.passes.layer_errors import compare_layers
from optkit.passes.onnx_step import emptied, error_note, open_mapped, open_runtime, read_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.passes.layer_errors import LayerError

MOST_LAYERS = 200
"""Tensors whose errors are noted: the worst ones of a large graph."""


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
    before = open_mapped(inputs["model"]).run(feed)
    after = open_runtime("onnxruntime", out).run(feed)
    for name, array in after.items():
        if array.dtype.kind == "f" and not np.isfinite(array[np.isfinite(before[name])]).all():
            raise StepFailed(f"output '{name}' became NaN or infinite in {form}")
    return {error.output: error_note(error) for error in compare_outputs(before, after)}


def layer_quality(
    inputs: Mapping[str, Path], out: Path, interface: Interface, scratch: Path
) -> list[dict[str, str | float | None]]:
    """Returns how far each tensor of the artifact at `out` is from that of the step's model, in the graph's order.

    A signal-to-noise ratio is what remains where channels were rescaled on purpose, and None where nothing differs.
    """
    first, second = read_model(inputs["model"])[0], read_model(out)[0]
    try:
        errors = compare_layers(first, second, one_feed(inputs, interface), emptied(scratch)).errors
    except StepFailed:  # a graph that runs as a whole, but not with each tensor as an output
        return []
    ratios = [(error, _ratio(error)) for error in errors]
    known = [(error, ratio) for error, ratio in ratios if ratio > -math.inf]
    worst = sorted(known, key=lambda pair: pair[1])[:MOST_LAYERS]
    shown = {error.tensor for error, _ in worst}
    return [
        {"tensor": error.tensor, "operator": error.operator, "sqnr_db": ratio if ratio < math.inf else None}
        for error, ratio in known
        if error.tensor in shown
    ]


def _ratio(error: LayerError) -> float:
    ratio = error.sqnr_db if error.rescaled_db is None else error.rescaled_db
    return -math.inf if math.isnan(ratio) else ratio
