"""Calibration data as the model takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError
from optkit.data.dataset import open_dataset, sample_digests
from optkit.measure.feeding import batch_limit, to_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.data.dataset import Dataset

MIN_SAMPLES = 8
"""Fewer say nothing about a range."""
_BATCH = 8


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
    for batch in dataset.batches(min(_BATCH, batch_limit(interface))):
        _check_finite(batch.inputs, batch.start)
        count = len(next(iter(batch.inputs.values())))
        yield to_model(batch.inputs, interface, batch.start), (batch.start + count) / total


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
