"""Calibration data as the model takes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError
from optkit.core.interface import BATCH, shape_at
from optkit.data.dataset import open_dataset, sample_digests
from optkit.measure.feeding import batch_limit, to_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.data.dataset import Dataset

MIN_SAMPLES = 8
"""Fewer say nothing about a range."""
_BATCH = 8
_BATCH_BYTES = 1 << 20
"""Of inputs. All activations of a batch are held at once, and large inputs gain nothing from company."""


def calibration_feeds(
    folder: Path, interface: Interface, *, halved: bool = False
) -> Iterator[tuple[dict[str, NDArray[Any]], float]]:
    """Yields the model's inputs for one batch after the other, and the fraction of the data that is then used.

    Args:
        folder: The dataset.
        interface: Of the model.
        halved: Whether every other sample is left out, for a search to be made on; see `held_out`.

    Raises:
        UsageError: Too few samples, or one of another shape or dtype than the model takes, or with NaN; says which.
    """
    dataset = open_dataset(folder)
    if halved:
        dataset = dataset.only(range(0, len(dataset), 2))
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


def first(feeds: Iterable[Mapping[str, NDArray[Any]]], samples: int) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Yields feeds until they hold so many samples, or end; inputs' longest axis 0 counts as samples."""
    seen = 0
    for feed in feeds:
        yield feed
        seen += max(len(array) if array.ndim else 1 for array in feed.values())
        if seen >= samples:
            return


def _batch_size(interface: Interface) -> int:
    import numpy as np

    sizes = {**interface.sizes("opt"), BATCH: 1}
    sample = sum(math.prod(shape_at(each, sizes)) * np.dtype(each.dtype).itemsize for each in interface.inputs)
    least = interface.dims[BATCH].min if BATCH in interface.dims else 1
    return min(batch_limit(interface), max(least, min(_BATCH, _BATCH_BYTES // max(sample, 1))))


def held_out(folder: Path) -> Dataset:
    """Returns the other half of halved calibration data, without samples that stand in both.

    Raises:
        UsageError: None is left.
    """
    dataset = open_dataset(folder)
    digests = sample_digests(dataset)
    used = set(digests[::2])
    left = [index for index in range(1, len(dataset), 2) if digests[index] not in used]
    if not left:
        raise UsageError(
            f"the calibration data holds {len(dataset)} samples, none of which can be held out to search on",
            hint="add data, or give data.search",
        )
    return dataset.only(left)


def _check_finite(inputs: Mapping[str, NDArray[Any]], start: int) -> None:
    import numpy as np

    for name, array in inputs.items():
        if array.dtype.kind != "f":
            continue
        bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        if bad.any():
            raise UsageError(f"calibration sample {start + int(bad.argmax())}: input '{name}' holds NaN or infinity")
