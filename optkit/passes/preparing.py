"""Function-preserving preparation for int8: equalisation and smoothing, each kept only if the outputs stay the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.graph.equalize import equalize
from optkit.graph.save import save_model
from optkit.graph.session import open_graph
from optkit.graph.smooth import Channels, find_sites, smooth
from optkit.measure.parity import compare_outputs
from optkit.passes.selecting import selection
from optkit.quant.placement import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.core.passes import Work
    from optkit.passes.quantize import Quantize
    from optkit.quant.channel_statistics import ChannelStatistics
    from optkit.quant.profiles import Profile

    Feeds = Callable[[], Iterator[Mapping[str, NDArray[Any]]]]

TOLERANCE = 1e-3
"""Largest change of a float output, relative to its scale, that is rounding."""
MIN_SPREAD = 8.0
"""Ratio of a pair's scales from which equalisation is worth it by default."""
MIN_GAIN_DB = 1.0
MIN_GAIN_OF_MUL_DB = 6.0
"""Expected gain from which smoothing is worth it by default, and where it costs a Mul at run time."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """Rewrites that are wanted (`None` means where they pay); notes what was rescaled, and what was rolled back.

    Attributes:
        do: The options.
        profile: Says which layers will be quantized.
        feeds: Opens the calibration data.
        work: Of the step.
    """

    do: Quantize
    profile: Profile
    feeds: Feeds
    work: Work

    def equalized(self, model: ir.Model) -> ir.Model:
        """Returns the graph with the ranges of channels shared out between layers; `model` is not changed."""
        if self.do.equalize is False:
            return model
        candidate, least = model.clone(), MIN_SPREAD if self.do.equalize is None else 1.0
        spreads = equalize(candidate, self._layers(candidate), min_spread=least)
        return self._kept("equalized", model, candidate, dict(spreads))

    def sites(self, model: ir.Model) -> list[str]:
        """Returns the tensors whose channels' statistics `smoothed` needs."""
        if self.do.smooth is False:
            return []
        return [site.tensor.name or "" for site in find_sites(model, self._layers(model))]

    def smoothed(self, model: ir.Model, channels: Mapping[str, ChannelStatistics]) -> ir.Model:
        """Returns the graph with outliers moved into weights, or `model`, which is not changed.

        Args:
            model: The graph.
            channels: Tensor → what calibration saw, for `sites`; others are left alone.
        """
        if not channels or self.do.smooth is False:
            return model
        candidate = model.clone()
        seen = {name: Channels(each.peak, each.power, each.count) for name, each in channels.items()}
        least, of_mul = (MIN_GAIN_DB, MIN_GAIN_OF_MUL_DB) if self.do.smooth is None else (0.0, 0.0)
        sites = find_sites(candidate, self._layers(candidate))
        done = smooth(candidate, sites, seen, min_gain_db=least, min_gain_of_mul_db=of_mul)
        return self._kept("smoothed", model, candidate, {name: asdict(each) for name, each in done.items()})

    def _layers(self, model: ir.Model) -> frozenset[str]:
        return frozenset(node.name or "" for node in place(model, self.profile, selection(self.do)))

    def _kept(self, what: str, model: ir.Model, candidate: ir.Model, done: Mapping[str, object]) -> ir.Model:
        """Returns the candidate if it computes what the model does, else the model; notes which."""
        if not done:
            return model
        reason = _difference(model, candidate, next(self.feeds()), self.work)
        self.work.notes[what] = {"rolled_back": reason} if reason else {"tensors": dict(done)}
        return model if reason else candidate


def _difference(model: ir.Model, candidate: ir.Model, feed: Mapping[str, NDArray[Any]], work: Work) -> str:
    before, after = (_outputs(each, feed, _folder(work, "parity")) for each in (model, candidate))
    try:
        worst = max(compare_outputs(before, after), key=lambda error: error.relative_to_scale)
    except StepFailed as error:
        return error.message
    if worst.relative_to_scale <= TOLERANCE:
        return ""
    return f"output '{worst.output}' moved by {worst.relative_to_scale:.3g} of its scale"


def _outputs(model: ir.Model, feed: Mapping[str, NDArray[Any]], folder: Path) -> dict[str, NDArray[Any]]:
    session = open_graph(save_model(model, folder), optimize=False)
    names = [info.name for info in session.get_outputs()]
    wanted = {info.name: feed[info.name] for info in session.get_inputs()}
    return dict(zip(names, session.run(names, wanted), strict=True))


def _folder(work: Work, name: str) -> Path:
    folder = work.scratch / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
