"""From a histogram to the range that 8 bits shall cover. All methods read the same histogram."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from optkit.quant.histogram import Histogram

    Range = tuple[float, float]
    Cost = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]

Method = Literal["minmax", "percentile", "mse", "kl"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "mse", "kl")
_STEPS = 64
_SMALLEST_FRACTION = 0.05
_ROUNDS = 2
_BINS_PER_LEVEL = 4


def find_range(
    histogram: Histogram, method: Method, *, levels: int = 255, symmetric: bool = False, percentile: float = 99.99
) -> Range:
    """Returns (low, high) with low ≤ 0 ≤ high, so that zero is representable; inside what was seen.

    Args:
        histogram: Of one tensor.
        method: `minmax` keeps every value; `percentile` keeps the middle part; `mse` minimises the expected squared
            error of quantizing; `kl` the Kullback-Leibler divergence between the values and their quantized selves
            (Migacz, "8-bit inference with TensorRT", GTC 2017).
        levels: Number of steps between the smallest and the largest code: 255 for 8 bits.
        symmetric: Whether low = -high is wanted.
        percentile: Share of the values kept by `percentile`, in percent.
    """
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    if method == "minmax" or low == high:
        return low, high
    if method == "percentile":
        return _percentile(histogram, percentile, low, high, symmetric=symmetric)
    if method == "mse":
        return _search(_squared_error(histogram, levels), low, high, _SMALLEST_FRACTION, symmetric=symmetric)
    # Where a level covers a single bin nothing is lost by quantizing, and clipping would look free.
    bins = (high - low) / (2 * histogram.limit) * len(histogram.counts)
    fraction = min(1.0, max(_SMALLEST_FRACTION, _BINS_PER_LEVEL * levels / bins))
    return _search(_divergence(histogram, levels), low, high, fraction, symmetric=symmetric)


def expected_sqnr_db(histogram: Histogram, ends: Range, levels: int = 255) -> float | None:
    """Returns the signal-to-noise ratio of a tensor that is quantized to a range, in dB.

    Args:
        histogram: Of the tensor.
        ends: low, high of the range.
        levels: Number of steps between the smallest and the largest code.

    Returns:
        None for a tensor that is constant, or with a range of nothing.
    """
    import numpy as np

    if not (ends[0] < ends[1] and histogram.low < histogram.high):
        return None
    noise = float(_squared_error(histogram, levels)(*(np.array([end]) for end in ends))[0])
    signal = float(histogram.centers() ** 2 @ histogram.counts)
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None


def _percentile(histogram: Histogram, percentile: float, low: float, high: float, *, symmetric: bool) -> Range:
    import numpy as np

    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    tail = (1 - percentile / 100) / 2
    edges = histogram.edges()
    first = int(np.searchsorted(share, tail, side="right"))
    last = int(np.searchsorted(share, 1 - tail, side="left"))
    low, high = max(low, min(float(edges[first]), 0.0)), min(high, max(float(edges[last + 1]), 0.0))
    return (-max(-low, high), max(-low, high)) if symmetric else (low, high)


def _search(cost: Cost, low: float, high: float, fraction: float, *, symmetric: bool) -> Range:
    """Coordinate descent over clipped ends; the whole range is always a candidate, and wins ties."""
    import numpy as np

    fractions = np.linspace(1.0, fraction, _STEPS)
    if symmetric:
        best = float(fractions[np.argmin(cost(-high * fractions, high * fractions))])
        return -high * best, high * best
    upper, lower = high, low
    for _ in range(_ROUNDS):
        upper = float((high * fractions)[np.argmin(cost(np.full(_STEPS, lower), high * fractions))])
        lower = float((low * fractions)[np.argmin(cost(low * fractions, np.full(_STEPS, upper)))])
    return lower, upper


def _squared_error(histogram: Histogram, levels: int) -> Cost:
    import numpy as np

    seen = histogram.counts > 0
    centers, weights = histogram.centers()[seen], histogram.counts[seen].astype(np.float64)

    def cost(low: NDArray[Any], high: NDArray[Any]) -> NDArray[Any]:
        scale = ((high - low) / levels)[:, None]
        zero = np.rint(-low[:, None] / scale)
        code = np.clip(np.rint(centers / scale) + zero, 0, levels)
        return np.asarray(((code - zero) * scale - centers) ** 2 @ weights)

    return cost


def _divergence(histogram: Histogram, levels: int) -> Cost:
    import numpy as np

    counts = histogram.counts.astype(np.float64)
    zero = len(counts) // 2
    # The exact zeros of a ReLU would outweigh everything else, and they cost nothing.
    counts[zero] = min(counts[zero], counts[zero + 1 :].max(initial=0.0) + counts[:zero].max(initial=0.0))
    seen = counts > 0
    centers, weights = histogram.centers()[seen], counts[seen]

    def cost(low: NDArray[Any], high: NDArray[Any]) -> NDArray[Any]:
        return np.array([_one_divergence(centers, weights, (a, b), levels) for a, b in zip(low, high, strict=True)])

    return cost


def _one_divergence(centers: NDArray[Any], weights: NDArray[Any], ends: Range, levels: int) -> float:
    import numpy as np

    inside = (centers >= ends[0]) & (centers <= ends[1])
    if not inside.any():
        return float("inf")
    values, kept = centers[inside], weights[inside]
    # What is clipped away lands on the outermost bins of the reference, and is missing from the quantized side.
    clipped = kept.copy()
    clipped[0] += weights[centers < ends[0]].sum()
    clipped[-1] += weights[centers > ends[1]].sum()
    code = np.rint((values - ends[0]) * (levels / (ends[1] - ends[0]))).astype(np.intp)
    members = np.bincount(code, minlength=levels + 1)
    spread = (np.bincount(code, weights=kept, minlength=levels + 1) / np.maximum(members, 1))[code]
    p, q = clipped / clipped.sum(), spread / spread.sum()
    return float(np.sum(p * np.log(p / q)))
