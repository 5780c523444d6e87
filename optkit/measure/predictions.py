"""Predictions on disk: every requested output of every sample, plus the labels, as raw bytes and one JSON file.

    predictions.json    {"count": n, "fields": [{"name", "dtype", "rank"}], "labels": the same or null,
                         "slices": [{"name", "names"}]}
    field_<i>.bin       the samples' values, one after the other, little endian, C order
    field_<i>.shapes    the samples' shapes: int64, (n, rank)
    slice_<i>.bin       which of the names each sample is in: int64, (n,)

Samples of one field may differ in shape (sequences) but not in rank. Nothing here is ever unpickled.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, overload

from optkit.core.errors import StepFailed, UsageError
from optkit.data.slices import Slicing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

INDEX_FILE = "predictions.json"
_PLAIN_KINDS = "biuf"


class Samples(Sequence["NDArray[Any]"]):
    """The samples of one field, read from disk as they are asked for."""

    def __init__(self, values: NDArray[Any], shapes: NDArray[Any]) -> None:
        import numpy as np

        self.shapes = shapes
        self._values = values
        self._ends = np.cumsum(shapes.prod(axis=1, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.shapes)

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NDArray[Any]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | Sequence[NDArray[Any]]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        shape = self.shapes[index]
        end = self._ends[index]
        return self._values[end - math.prod(shape.tolist()) : end].reshape(shape)

    def stacked(self) -> NDArray[Any] | None:
        """Returns all samples as one array (n, …), or None if their shapes differ."""
        if len(self) == 0 or (self.shapes != self.shapes[0]).any():
            return None
        return self._values.reshape(len(self), *self.shapes[0])


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model said about each sample of a dataset.

    Attributes:
        outputs: Output name → one array per sample.
        labels: What is true, one array per sample; None if the dataset has no labels.
        slices: Name of a slicing → the slice of each sample.
    """

    outputs: Mapping[str, Samples]
    labels: Samples | None
    slices: Mapping[str, Slicing] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.outputs.values())))


class PredictionsWriter:
    """Writes predictions batch by batch; memory does not grow with the number of samples."""

    def __init__(
        self, folder: Path, outputs: Sequence[str], *, labels: bool, slices: Mapping[str, Slicing] | None = None
    ) -> None:
        self._folder = folder
        self._slices = slices or {}
        self._files = ExitStack()
        self._outputs = [_Field(folder, index, name, self._files) for index, name in enumerate(outputs)]
        self._labels = _Field(folder, len(outputs), "labels", self._files) if labels else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._files.close()
        if kind is None:
            self._write_index()

    def add(self, outputs: Mapping[str, NDArray[Any]], labels: NDArray[Any] | None = None) -> None:
        """Appends a batch: each output (n, …), and the labels (n, …) if the writer was told of labels.

        Raises:
            StepFailed: An output's dtype or rank is not that of the batches before.
            UsageError: The labels are no numbers.
        """
        for output in self._outputs:
            output.add(outputs[output.name])
        if self._labels is None:
            return
        if labels is None or labels.dtype.kind not in _PLAIN_KINDS:
            raise UsageError("the dataset's labels are not numbers", hint="store class indices or target values")
        self._labels.add(labels)

    def _write_index(self) -> None:
        index = {
            "count": self._outputs[0].count,
            "fields": [field.described() for field in self._outputs],
            "labels": self._labels.described() if self._labels else None,
            "slices": [{"name": name, "names": slicing.names} for name, slicing in self._slices.items()],
        }
        for position, slicing in enumerate(self._slices.values()):
            (self._folder / f"slice_{position}.bin").write_bytes(slicing.codes.astype("<i8").tobytes())
        (self._folder / INDEX_FILE).write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


def read_predictions(folder: Path) -> Predictions:
    """Returns the predictions at `folder` as memory maps.

    Raises:
        StepFailed: A file is shorter or longer than the index says.
    """
    index = json.loads((folder / INDEX_FILE).read_text())
    fields = [*index["fields"], *([index["labels"]] if index["labels"] else [])]
    samples = [_read_field(folder, position, field, index["count"]) for position, field in enumerate(fields)]
    outputs = {field["name"]: read for field, read in zip(index["fields"], samples, strict=False)}
    slices = {
        entry["name"]: Slicing(_map(folder / f"slice_{position}.bin", "<i8"), tuple(entry["names"]))
        for position, entry in enumerate(index["slices"])
    }
    return Predictions(outputs, samples[-1] if index["labels"] else None, slices)


class _Field:
    """One stream of samples."""

    def __init__(self, folder: Path, index: int, name: str, files: ExitStack) -> None:
        self.name = name
        self.count = 0
        self._dtype: str | None = None
        self._rank = 0
        self._values: BinaryIO = files.enter_context((folder / f"field_{index}.bin").open("wb"))
        self._shapes: BinaryIO = files.enter_context((folder / f"field_{index}.shapes").open("wb"))

    def add(self, batch: NDArray[Any]) -> None:
        import numpy as np

        data = np.ascontiguousarray(batch, dtype=batch.dtype.newbyteorder("<"))
        if self._dtype is None:
            self._dtype, self._rank = data.dtype.str, data.ndim - 1
        if (data.dtype.str, data.ndim - 1) != (self._dtype, self._rank):
            raise StepFailed(
                f"'{self.name}' is {data.dtype} with rank {data.ndim - 1} for sample {self.count}, "
                f"{self._dtype} with rank {self._rank} before"
            )
        self._values.write(data.tobytes())
        self._shapes.write(np.tile(np.array(data.shape[1:], "<i8"), (len(data), 1)).tobytes())
        self.count += len(data)

    def described(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self._dtype, "rank": self._rank}


def _read_field(folder: Path, index: int, field: Mapping[str, Any], count: int) -> Samples:
    import numpy as np

    shapes = _map(folder / f"field_{index}.shapes", "<i8").reshape(count, field["rank"])
    values = _map(folder / f"field_{index}.bin", field["dtype"])
    if len(values) != shapes.prod(axis=1, dtype=np.int64).sum():
        raise StepFailed(f"predictions of '{field['name']}' are damaged: their size is not that of their shapes")
    return Samples(values, shapes)


def _map(path: Path, dtype: str) -> NDArray[Any]:
    import numpy as np

    # An empty file cannot be mapped.
    return np.memmap(path, dtype, mode="r") if path.stat().st_size else np.empty(0, dtype)
