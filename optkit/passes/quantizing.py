"""How the `quantize` pass works: observe, choose ranges, write, and check what runs in int8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import MissingDependency, StepFailed, UsageError
from optkit.core.passes import DEFAULT_TARGET
from optkit.graph.fuse.products import merge_products
from optkit.graph.save import MODEL_FILE
from optkit.graph.shapes import name_nodes, refresh_shapes
from optkit.passes.budgeting import keep_within_budget
from optkit.passes.deciding import decide
from optkit.passes.observing import Observation
from optkit.passes.onnx_step import move_artifact, read_model, write_model
from optkit.passes.output_error import OutputError
from optkit.passes.preparing import Preparation
from optkit.passes.quality import layer_quality, output_quality
from optkit.passes.ranging import range_notes, with_ranges
from optkit.passes.selecting import selection
from optkit.passes.writers import Data, DynamicWriter, StaticWriter, Writer, mark
from optkit.quant.engine import Format
from optkit.quant.int8_nodes import count_int8
from optkit.quant.placement import place
from optkit.quant.prepare import prepare
from optkit.quant.profiles import profile_named

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import onnx_ir as ir

    from optkit.core.passes import Work
    from optkit.passes.quantize import Quantize

NO_WEIGHTS = "no convolution or matrix product has constant float32 weights"


def quantize(do: Quantize, inputs: Mapping[str, Path], work: Work, *, searches: bool = False) -> None:
    """Does what `Quantize.run` promises, with the options of `do`.

    Args:
        do: The options.
        inputs: Role → artifact.
        work: Of the step.
        searches: Whether the result is compared with others on `search` data, or on half of the calibration data where
            there is none; so is whatever has a budget.
    """
    if not 50 < do.percentile <= 100:  # noqa: PLR2004  # percent
        raise UsageError(f"percentile is {do.percentile:g}; it should be above 50 and at most 100")
    if do.method == "auto":
        decide(do, inputs, work)
        return
    model, interface = read_model(inputs["model"])
    model = prepare(model)
    if do.merge:
        work.notes["merged"], _ = merge_products(model)
        name_nodes(model)
        refresh_shapes(model)
    data = Data(inputs, interface, searches=searches or bool(do.budget))
    is_static = do.method == "static"
    writer: Writer = _static(do, model, data, work) if is_static else DynamicWriter(do, model, _format(do), work)
    floats = keep_within_budget(do, writer, inputs, interface, work) if do.budget else frozenset()
    if isinstance(writer, StaticWriter) and do.ranges == "auto":
        work.progress(0.85, "choosing ranges")
        writer = writer.tuned(floats, OutputError(writer.model, data.feeds(), work.scratch / "ranging"))
    quantized = writer.write(floats)
    mark(quantized, selection(do, floats), writer)
    if isinstance(writer, StaticWriter):
        work.notes["dead"] = [name for name, (low, high) in writer.ranges.items() if low == high]
        work.notes["ranges"] = range_notes(writer, quantized)
    out = work.scratch / "quantized"
    write_model(quantized, interface, out)
    work.progress(0.9, "checking")
    _note_int8(do, out, work)
    work.notes["quality"] = output_quality(inputs, out, interface, "int8")
    work.notes["layers"] = layer_quality(inputs, out, interface, work.scratch / "layers")
    move_artifact(out, work.out)


def _static(do: Quantize, model: ir.Model, data: Data, work: Work) -> StaticWriter:
    profile, form = profile_named(do.target or DEFAULT_TARGET), _format(do)
    if not place(model, profile, selection(do)):
        wide = f" of {profile.min_channels} channels or more" if profile.min_channels > 1 else ""
        chosen = " that `ops` and `keep` let be quantized" if do.ops is not None or do.keep else ""
        raise StepFailed(f"nothing to quantize: {NO_WEIGHTS}{wide}{chosen}", hint="leave the quantize step out")
    preparation = Preparation(do, profile, data.feeds, work)
    observation = Observation(do, profile, data.parts, work)
    model = preparation.equalized(model)
    seen = observation.of(model, preparation.sites(model))
    smoothed = preparation.smoothed(model, seen.last_axis())
    if smoothed is not model:
        model, seen = smoothed, observation.of(smoothed, ())
    histograms = seen.histograms
    writer = with_ranges(StaticWriter(do, model, profile, form, seen, data.feeds, work))
    work.notes["constant"] = [name for name, histogram in histograms.items() if histogram.low == histogram.high]
    return writer


def _format(do: Quantize) -> Format:
    profile = profile_named(do.target or DEFAULT_TARGET)
    return Format(do.per_channel, bool(do.reduce_range), profile.window_pairs)


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
