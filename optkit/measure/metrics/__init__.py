"""Metrics behind one protocol: what is kept of each sample, so that a candidate is compared pair by pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.measure.metrics.accuracy import Accuracy, Agreement
from optkit.measure.metrics.closeness import Cosine, MeanSquaredError, PeakSignalToNoise, SignalToNoise
from optkit.measure.metrics.correlation import Correlation, Similarity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optkit.measure.metrics.base import Metric

METRICS: Mapping[str, type[Metric]] = {
    "accuracy": Accuracy,
    "agreement": Agreement,
    "cosine": Cosine,
    "sqnr": SignalToNoise,
    "mse": MeanSquaredError,
    "psnr": PeakSignalToNoise,
    "correlation": Correlation,
    "similarity": Similarity,
}


def known_metrics() -> dict[str, type[Metric]]:
    """Returns kind → metric: ours, and those of installed plugins, which cannot replace one of ours."""
    from importlib.metadata import entry_points

    return {point.name: point.load() for point in entry_points(group="optkit.metrics")} | dict(METRICS)
