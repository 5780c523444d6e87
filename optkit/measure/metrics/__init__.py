"""Metrics behind one protocol: what is kept of each sample, so that a candidate is compared pair by pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.lazy import LazyTable

if TYPE_CHECKING:
    from optkit.measure.metrics.base import Metric

METRICS: LazyTable[type[Metric]] = LazyTable(
    {
        "accuracy": "optkit.measure.metrics.accuracy:Accuracy",
        "f1": "optkit.measure.metrics.f1:F1",
        "auroc": "optkit.measure.metrics.ranking:Auroc",
        "average-precision": "optkit.measure.metrics.ranking:AveragePrecision",
        "detection-map": "optkit.measure.metrics.detection:DetectionMap",
        "miou": "optkit.measure.metrics.segmentation:MeanIou",
        "wer": "optkit.measure.metrics.sequence:WordErrorRate",
        "perplexity": "optkit.measure.metrics.language:Perplexity",
        "mse": "optkit.measure.metrics.closeness:MeanSquaredError",
        "psnr": "optkit.measure.metrics.closeness:PeakSignalToNoise",
        "correlation": "optkit.measure.metrics.correlation:Correlation",
        "similarity": "optkit.measure.metrics.correlation:Similarity",
        "agreement": "optkit.measure.metrics.accuracy:Agreement",
        "cosine": "optkit.measure.metrics.closeness:Cosine",
        "sqnr": "optkit.measure.metrics.closeness:SignalToNoise",
        "python": "optkit.measure.metrics.function:Python",
        "torchmetrics": "optkit.measure.metrics.library:TorchMetrics",
    }
)


def known_metrics() -> LazyTable[type[Metric]]:
    """Returns kind → metric: ours and those of installed plugins."""
    return METRICS.with_plugins("optkit.metrics")
