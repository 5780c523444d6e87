"""Calibration data as Olive takes it; Olive loads this file by its name, in its own environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from olive.data.registry import Registry  # type: ignore[import-not-found]  # in the rivals' environment only

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Samples:
    """The samples of a folder's batches, each with a label that Olive asks for and does not use."""

    def __init__(self, folder: str) -> None:
        self._samples: list[dict[str, NDArray[Any]]] = []
        for file in sorted(Path(folder).glob("*.npz")):
            with np.load(file) as data:
                batch = dict(data)
            count = len(next(iter(batch.values())))
            self._samples += [{name: array[row] for name, array in batch.items()} for row in range(count)]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, row: int) -> tuple[dict[str, NDArray[Any]], int]:
        return self._samples[row], 0


@Registry.register_dataset()  # type: ignore[untyped-decorator]  # Olive's
def recorded_samples(folder: str, **_: object) -> Samples:
    """Returns the samples of a folder."""
    return Samples(folder)
