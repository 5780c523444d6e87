"""Calibration data as the model takes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError
from optkit.core.interface import BATCH, shape_at
from optkit.data.dataset import open_dataset
from optkit.measure.feeding import batch_limit, to_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.core.interface import Interface

MIN_SAMPLES = 8
"""Fewer say nothing about a range."""
_BATCH = 8
_BATCH_BYTES = 1 << 20
"""Of inputs. All activations of a batch are held at once, and large inputs gain nothing from company."""


def calibration_feeds(folder: Path, interface: Interface) -> Iterator[tuple[dict[str, NDArray[Any]], float]]:
    """Yields the model's inputs for one batch after the other, and the fraction of the data that is then used.

    Raises:
        UsageError: Too few samples, or one of another shape or dtype than the model takes, or with NaN; says which.
    """
    dataset = open_dataset(folder)
    total = len(dataset)
    if total < MIN_SAMPLES:
        raise UsageError(
            f"the calibration data holds {total} samples; at least {MIN_SAMPLES} are needed",
            hint="raise `samples` of data.calibration, or add data; 128 to 512 are usual",
        )
    for batch in dataset.batches(_batch_size(interface)):
        _check_finite(batch.inputs, batch.start)
        count = len(next(iter(batch.inputs.values())))
        yield to_model(batch.inputs, interface, batch.start), (batch.start + count) / total


def _batch_size(interface: Interface) -> int:
    import numpy as np

    sizes = {**interface.sizes("opt"), BATCH: 1}
    sample = sum(math.prod(shape_at(each, sizes)) * np.dtype(each.dtype).itemsize for each in interface.inputs)
    least = interface.dims[BATCH].min if BATCH in interface.dims else 1
    return min(batch_limit(interface), max(least, min(_BATCH, _BATCH_BYTES // max(sample, 1))))


def _check_finite(inputs: Mapping[str, NDArray[Any]], start: int) -> None:
    import numpy as np

    for name, array in inputs.items():
        if array.dtype.kind != "f":
            continue
        bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        if bad.any():
            raise UsageError(f"calibration sample {start + int(bad.argmax())}: input '{name}' holds NaN or infinity")
