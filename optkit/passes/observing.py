"""Calibration within the `quantize` pass: one run of the data for everything that anything later reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.passes.selecting import selection
from optkit.quant.bias_correction import layer_inputs
from optkit.quant.channel_statistics import ChannelStatistics
from optkit.quant.histogram import Histogram
from optkit.quant.layout import calibrated_tensors
from optkit.quant.observe import watch
from optkit.quant.placement import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.core.passes import Work
    from optkit.passes.quantize import Quantize
    from optkit.quant.profiles import Profile

    Fractions = Callable[[], Iterator[tuple[Mapping[str, NDArray[Any]], float]]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What calibration saw of a graph.

    Attributes:
        histograms: Of the tensors whose ranges decide a scale.
        channels: Of layers' inputs, by tensor and axis of channels, from the right.
    """

    histograms: Mapping[str, Histogram]
    channels: Mapping[tuple[str, int], ChannelStatistics]

    def last_axis(self) -> dict[str, ChannelStatistics]:
        """Returns tensor → what was seen, where channels lie on the last axis."""
        return {name: each for (name, axis), each in self.channels.items() if axis == -1}

    def means(self) -> dict[tuple[str, int], NDArray[Any]]:
        """Returns the mean per channel, float64."""
        return {key: each.mean for key, each in self.channels.items()}


@dataclass(frozen=True, slots=True)
class Observation:
    """How calibration runs.

    Attributes:
        do: The options of the pass.
        profile: Says which nodes will be quantized.
        data: Opens the data: batches, and the fraction that is then used.
        work: Of the step.
    """

    do: Quantize
    profile: Profile
    data: Fractions
    work: Work

    def of(self, model: ir.Model, sites: Iterable[str]) -> Seen:
        """Runs the data through the graph.

        Args:
            model: The graph; it is not changed.
            sites: Tensors with channels on the last axis whose statistics are wanted, too.
        """
        nodes = place(model, self.profile, selection(self.do))
        wanted = dict.fromkeys((name, -1) for name in sites)
        wanted |= dict.fromkeys(sorted(layer_inputs(nodes)) if self.do.bias_correction else ())
        histograms = {name: Histogram() for name in calibrated_tensors(nodes, self.profile)}
        channels = {(name, axis): ChannelStatistics(axis) for name, axis in wanted}
        watchers: dict[str, list[Histogram | ChannelStatistics]] = {name: [each] for name, each in histograms.items()}
        for (name, _), each in channels.items():
            watchers.setdefault(name, []).append(each)
        scratch = self.work.scratch / "observed"
        scratch.mkdir(parents=True, exist_ok=True)
        seen = watch(model, watchers, self._fed(), scratch, mask=self.do.mask)
        return Seen(
            {name: each for name, each in histograms.items() if name in seen},
            {key: each for key, each in channels.items() if key[0] in seen},
        )

    def _fed(self) -> Iterator[Mapping[str, NDArray[Any]]]:
        for feed, fraction in self.data():
            yield feed
            self.work.progress(0.1 + 0.7 * fraction, "calibrating")
