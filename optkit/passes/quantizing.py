"""How the `quantize` pass works: observe, choose ranges, write, and check what runs in int8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.errors import MissingDependency, StepFailed, UsageError
from optkit.graph.save import MODEL_FILE
from optkit.measure.feeding import made_up_inputs
from optkit.measure.parity import compare_outputs
from optkit.passes.calibration import calibration_feeds
from optkit.passes.observing import Observation
from optkit.passes.onnx_step import error_note, move_artifact, open_runtime, read_model, write_model
from optkit.passes.preparing import Preparation
from optkit.passes.unbiasing import unbiased
from optkit.quant.bias_correction import correct_biases
from optkit.quant.dynamic import write_dynamic
from optkit.quant.engine import Format, write_static
from optkit.quant.int8_nodes import count_int8
from optkit.quant.placement import place
from optkit.quant.prepare import prepare
from optkit.quant.profiles import profile_named
from optkit.quant.ranges import find_range

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.core.passes import Work
    from optkit.passes.quantize import Quantize
    from optkit.quant.histogram import Histogram

DEFAULT_TARGET = "onnxruntime-cpu"
NO_WEIGHTS = "no convolution or matrix product has constant float32 weights"


def quantize(do: Quantize, inputs: Mapping[str, Path], work: Work) -> None:
    """Does what `Quantize.run` promises, with the options of `do`."""
    if not 50 < do.percentile <= 100:  # noqa: PLR2004  # percent
        raise UsageError(f"percentile is {do.percentile:g}; it should be above 50 and at most 100")
    model, interface = read_model(inputs["model"])
    model = prepare(model)
    if do.method == "static":
        quantized = _static(do, model, interface, inputs["calibration"], work)
    else:
        quantized = write_dynamic(model, _format(do))
    out = work.scratch / "quantized"
    write_model(quantized, interface, out)
    work.progress(0.9, "checking")
    _note_int8(do, out, work)
    work.notes["quality"] = _quality(inputs, out, interface)
    move_artifact(out, work.out)


def _static(do: Quantize, model: ir.Model, interface: Interface, data: Path, work: Work) -> ir.Model:
    profile, form = profile_named(do.target or DEFAULT_TARGET), _format(do)
    if not place(model, profile):
        wide = f" of {profile.min_channels} channels or more" if profile.min_channels > 1 else ""
        raise StepFailed(f"nothing to quantize: {NO_WEIGHTS}{wide}", hint="leave the quantize step out")

    def feeds() -> Iterator[Mapping[str, NDArray[Any]]]:
        return (feed for feed, _ in calibration_feeds(data, interface))

    preparation = Preparation(do, profile, feeds, work)
    observation = Observation(do, profile, lambda: calibration_feeds(data, interface), work)
    model = preparation.equalized(model)
    seen = observation.of(model, preparation.sites(model))
    smoothed = preparation.smoothed(model, seen.last_axis())
    if smoothed is not model:
        model, seen = smoothed, observation.of(smoothed, ())
    histograms = seen.histograms
    levels = 254 if profile.signed_activations else 255
    ranges = {
        name: find_range(
            histogram, do.ranges,
            levels=levels, symmetric=profile.signed_activations, percentile=do.percentile,
        )
        for name, histogram in histograms.items()
    }  # fmt: skip
    work.notes["constant"] = [name for name, histogram in histograms.items() if histogram.low == histogram.high]
    work.notes["dead"] = [name for name, (low, high) in ranges.items() if low == high]

    def write(graph: ir.Model) -> ir.Model:
        return write_static(graph, place(graph, profile), ranges, profile, form)

    def correct(graph: ir.Model) -> list[str]:
        return correct_biases(graph, {node.name or "" for node in place(graph, profile)}, seen.means(), form)

    quantized = unbiased(model, correct, write, feeds, work) if do.bias_correction else write(model)
    work.notes["ranges"] = [_range_note(name, histograms[name], ends, quantized) for name, ends in ranges.items()]
    return quantized


def _format(do: Quantize) -> Format:
    return Format(do.per_channel, bool(do.reduce_range))


def _note_int8(do: Quantize, out: Path, work: Work) -> None:
    """Notes what the target's own optimiser leaves in int8, where that runtime is here to ask."""
    target = do.target or DEFAULT_TARGET
    if target not in _COUNTERS:
        return
    runtime, counted = _COUNTERS[target]
    try:
        counts = counted(out / MODEL_FILE, work.scratch)
    except MissingDependency as error:
        work.notes["int8_nodes_unknown"] = error.message
        return
    work.notes["int8_nodes"] = {op: list(count) for op, count in counts.items()}
    if not any(int8 for int8, _ in counts.values()):
        raise StepFailed(
            f"no node runs in int8: {NO_WEIGHTS}, or {runtime} has no int8 kernel for them",
            hint="leave the quantize step out, or try the other method",
        )


def _count_in_openvino(path: Path, scratch: Path) -> dict[str, tuple[int, int]]:
    from optkit.runtimes.openvino_nodes import count_int8 as counted

    del scratch
    return counted(path)


_COUNTERS = {"onnxruntime-cpu": ("ONNX Runtime", count_int8), "openvino-cpu": ("OpenVINO", _count_in_openvino)}
"""Target → its runtime's name, and what counts the nodes that it runs in int8."""


def _range_note(name: str, histogram: Histogram, ends: tuple[float, float], quantized: ir.Model) -> dict[str, object]:
    initializers = quantized.graph.initializers
    note: dict[str, object] = {
        "tensor": name,
        "min": histogram.low,
        "max": histogram.high,
        "low": ends[0],
        "high": ends[1],
    }
    for key in ("scale", "zero_point"):
        value = initializers.get(f"{name}_{key}")
        if value is not None and value.const_value is not None:
            note[key] = value.const_value.numpy().item()
    return note


def _quality(inputs: Mapping[str, Path], out: Path, interface: Interface) -> dict[str, dict[str, float | None]]:
    """Returns per output how far int8 moved it, on a batch of calibration data or on made-up inputs.

    Raises:
        StepFailed: An output became NaN or infinite.
    """
    import numpy as np

    feed = made_up_inputs(interface, interface.sizes("opt"), seed=0)
    if "calibration" in inputs:
        feed, _ = next(calibration_feeds(inputs["calibration"], interface))
    before = open_runtime("onnxruntime", inputs["model"]).run(feed)
    after = open_runtime("onnxruntime", out).run(feed)
    for name, array in after.items():
        if array.dtype.kind == "f" and not np.isfinite(array[np.isfinite(before[name])]).all():
            raise StepFailed(f"output '{name}' became NaN or infinite in int8")
    return {error.output: error_note(error) for error in compare_outputs(before, after)}
