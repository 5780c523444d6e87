"""Metrics behind one protocol: what is kept of each sample, so that a candidate is compared pair by pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.measure.metrics.accuracy import Accuracy, Agreement
from optkit.measure.metrics.closeness import Cosine, MeanSquaredError, PeakSignalToNoise, SignalToNoise
from optkit.measure.metrics.correlation import Correlation, Similarity
from optkit.measure.metrics.detection import DetectionMap
from optkit.measure.metrics.f1 import F1
from optkit.measure.metrics.function import Python
from optkit.measure.metrics.language import Perplexity
from optkit.measure.metrics.library import TorchMetrics
from optkit.measure.metrics.ranking import Auroc, AveragePrecision
from optkit.measure.metrics.segmentation import MeanIou
from optkit.measure.metrics.sequence import WordErrorRate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optkit.measure.metrics.base import Metric

METRICS: Mapping[str, type[Metric]] = {
    "accuracy": Accuracy,
    "f1": F1,
    "auroc": Auroc,
    "average-precision": AveragePrecision,
    "detection-map": DetectionMap,
    "miou": MeanIou,
    "wer": WordErrorRate,
    "perplexity": Perplexity,
    "mse": MeanSquaredError,
    "psnr": PeakSignalToNoise,
    "correlation": Correlation,
    "similarity": Similarity,
    "agreement": Agreement,
    "cosine": Cosine,
    "sqnr": SignalToNoise,
    "python": Python,
    "torchmetrics": TorchMetrics,
}


def known_metrics() -> dict[str, type[Metric]]:
    """Returns kind → metric: ours, and those of installed plugins, which cannot replace one of ours."""
    from importlib.metadata import entry_points

    return {point.name: point.load() for point in entry_points(group="optkit.metrics")} | dict(METRICS)
