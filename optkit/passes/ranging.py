"""Ranges of activations within the `quantize` pass: by one method for all, or by what is best for the outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from optkit.quant.engine import activation_scales
from optkit.quant.ranges import METHODS, expected_sqnr_db, find_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.passes.output_error import OutputError
    from optkit.passes.writers import StaticWriter
    from optkit.quant.ranges import Method

    Range = tuple[float, float]
    Ranges = Mapping[str, Range]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Ranges that were chosen by the outputs' error.

    Attributes:
        ranges: Tensor → low, high.
        methods: Tensor → how its range was found.
        error: Of the outputs, as `OutputError` says.
        runs: How often the model was run.
    """

    ranges: dict[str, Range]
    methods: dict[str, str]
    error: float
    runs: int


MOST_HISTOGRAMS, BINS = 32, 64
"""Tensors of a graph whose histograms are noted, and into how many bins."""
MOST_RUNS = 64
"""Of the model, for tensors whose methods disagree; those that disagree most come first."""
MIN_GAIN = 0.01
"""Share of the outputs' error that another method must take away."""


def with_ranges(writer: StaticWriter) -> StaticWriter:
    """Returns the writer with a range for each tensor that was observed.

    With `ranges: auto` they are preliminary: `best_ranges` needs to know which layers stay float.
    """
    wanted = writer.do.ranges
    method: Method = "mse" if wanted is None or wanted == "auto" else wanted
    ranges = _by_method(writer, method)
    return replace(writer, ranges=ranges, methods=dict.fromkeys(ranges, method))


def range_notes(writer: StaticWriter, quantized: ir.Model) -> list[dict[str, Any]]:
    """Returns what to note of each tensor: what was seen, its range, how that was chosen, and its numbers.

    The tensors that lose most to their range come with a histogram of what was seen, from `min` to `max`.
    """
    notes = [_note(writer, name, quantized) for name in writer.ranges]
    lossy = sorted((note for note in notes if note["sqnr_db"] is not None), key=itemgetter("sqnr_db"))
    for note in lossy[:MOST_HISTOGRAMS]:
        note["histogram"] = writer.seen.histograms[note["tensor"]].coarse(BINS)
    return notes


def _note(writer: StaticWriter, name: str, quantized: ir.Model) -> dict[str, Any]:
    histogram, (low, high) = writer.seen.histograms[name], writer.ranges[name]
    note: dict[str, Any] = {"tensor": name, "min": histogram.low, "max": histogram.high, "low": low, "high": high}
    note["method"] = writer.methods[name]
    note["sqnr_db"] = expected_sqnr_db(histogram, (low, high), _levels(writer))
    for key in ("scale", "zero_point"):
        value = quantized.graph.initializers.get(f"{name}_{key}")
        if value is not None and value.const_value is not None:
            note[key] = value.const_value.numpy().item()
    return note


def _by_method(writer: StaticWriter, method: Method) -> dict[str, Range]:
    signed = writer.profile.signed_activations
    return {
        name: find_range(
            histogram, method, levels=_levels(writer), symmetric=signed, percentile=writer.do.percentile
        )
        for name, histogram in writer.seen.histograms.items()
    }  # fmt: skip


def _levels(writer: StaticWriter) -> int:
    return 254 if writer.profile.signed_activations else 255


def best_ranges(writer: StaticWriter, floats: frozenset[str], errors: OutputError, most: int = MOST_RUNS) -> Chosen:
    """Returns the ranges that are best for the outputs if the named layers stay float.

    It starts from the method that is best for all tensors, then changes one tensor after the other where that helps.

    Args:
        writer: With what calibration saw.
        floats: Names of layers.
        errors: Of the float graph.
        most: Runs that changing single tensors may take.
    """
    candidates = {method: _by_method(writer, method) for method in METHODS}
    trial = _Trial(writer, floats, errors, candidates["minmax"])
    by_method = {method: trial.error(ranges) for method, ranges in candidates.items()}
    best = min(METHODS, key=by_method.__getitem__)
    ranges, methods, error = dict(candidates[best]), dict.fromkeys(candidates[best], str(best)), by_method[best]
    runs = 0
    used = trial.tensors
    for name in [name for name in _disagreeing(candidates, _levels(writer)) if name in used]:
        others = _apart(candidates, name, best, _levels(writer))
        if runs + len(others) > most:
            break
        runs += len(others)
        for method in others:
            found = trial.error({**ranges, name: candidates[method][name]})
            if found < error * (1 - MIN_GAIN):
                error, ranges[name], methods[name] = found, candidates[method][name], method
    return Chosen(ranges, methods, error, runs + len(METHODS))


class _Trial:
    """The int8 graph with scales that can be given anew for each run, so that it is opened once.

    Attributes:
        tensors: Those that have a scale of their own.
    """

    def __init__(self, writer: StaticWriter, floats: frozenset[str], errors: OutputError, ranges: Ranges) -> None:
        self._nodes, self._profile, self._errors = writer.nodes(floats), writer.profile, errors
        scales = activation_scales(self._nodes, ranges, self._profile)
        self.tensors = frozenset(scales)
        names = {f"{name}_{key}" for name in scales for key in ("scale", "zero_point")}
        # What keeps a runtime's optimiser from a float layer repeats scales, and no optimiser runs here.
        plain = replace(writer, ranges=dict(ranges), profile=replace(writer.profile, requantizes=False))
        self._session, self._free = self._open(plain.draft(floats), names)

    def _open(self, model: ir.Model, names: set[str]) -> tuple[Any, frozenset[str]]:
        free = [value for name, value in model.graph.initializers.items() if name in names]
        model.graph.inputs.extend(free)
        return self._errors.open(model), frozenset(value.name or "" for value in free)

    def error(self, ranges: Ranges) -> float:
        """Returns the outputs' error with these ranges."""
        given: dict[str, NDArray[Any]] = {}
        for name, scale in activation_scales(self._nodes, ranges, self._profile).items():
            given |= {f"{name}_scale": scale.scale, f"{name}_zero_point": scale.zero_point}
        return self._errors.of(self._session, {name: each for name, each in given.items() if name in self._free})


def _disagreeing(candidates: Mapping[Method, Ranges], levels: int) -> list[str]:
    """Returns the tensors on which methods differ by more than a step, those with the widest gap first."""
    gaps = {name: _gap([ranges[name] for ranges in candidates.values()]) for name in candidates["minmax"]}
    return sorted((name for name, gap in gaps.items() if gap > 1 / levels), key=lambda name: (-gaps[name], name))


def _gap(ranges: list[Range]) -> float:
    """Returns the widest distance between two lows or two highs, relative to the widest range."""
    lows, highs = zip(*ranges, strict=True)
    width = max(highs) - min(lows)
    return float(max(max(lows) - min(lows), max(highs) - min(highs)) / width) if width else 0.0


def _apart(candidates: Mapping[Method, Ranges], name: str, best: Method, levels: int) -> list[Method]:
    """Returns the methods whose range differs from that of `best`, and from each other's, by more than a step."""
    kept: list[Method] = [best]
    for method, ranges in candidates.items():
        if all(_gap([ranges[name], candidates[other][name]]) > 1 / levels for other in kept):
            kept.append(method)
    return kept[1:]
