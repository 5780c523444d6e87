"""Samples of a dataset artifact, in batches."""

from __future__ import annotations

import copy
import hashlib
import itertools
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.data import selection as selections
from optkit.data.labels import class_numbers, empty_ones_alike, read_label, read_text
from optkit.data.preprocessing import prepare
from optkit.data.readers import Request
from optkit.data.slices import slice_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from optkit.data.manifest import Labels
    from optkit.data.preprocessing import Preprocessing
    from optkit.data.readers import Column, Reader
    from optkit.data.selection import Selection
    from optkit.data.slices import Slicing


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample.

    Attributes:
        inputs: Input name → value, without a batch axis.
        label: A number or an array of numbers; None without labels.
    """

    inputs: dict[str, np.ndarray]
    label: np.ndarray | None

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the inputs and the label: equal ones can be stacked."""
        label = () if self.label is None else self.label.shape
        return (*(value.shape for value in self.inputs.values()), label)


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of equal shapes that follow each other.

    Attributes:
        inputs: Input name → values, stacked on axis 0.
        labels: Stacked on axis 0; None without labels.
        start: Number of the first sample.
    """

    inputs: dict[str, np.ndarray]
    labels: np.ndarray | None
    start: int


class Dataset:
    """The selected samples, in the order of the files. Inputs are prepared when they are asked for."""

    def __init__(self, selection: Selection, columns: Mapping[str, Column]) -> None:
        """Takes the columns that the reader returned; they are checked here.

        Raises:
            UsageError: Columns differ in length, rows are missing, or a label is wrong.
        """
        manifest = selection.manifest
        self.title = selection.title
        self.input_names: tuple[str, ...] = tuple(manifest.inputs)
        self.class_names: tuple[str, ...] = manifest.labels.classes if manifest.labels else ()
        self._reader = _reader(selection)
        self._specs = _resolved(selection)
        self._columns = columns
        self._slices = manifest.slices
        self._rows = choose_rows(_rows(selection, columns), selection.samples, self.title)
        self._labels = None if manifest.labels is None else self._read_labels(manifest.labels)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def has_labels(self) -> bool:
        """Whether samples carry labels."""
        return self._labels is not None

    def slicings(self) -> dict[str, Slicing]:
        """Returns the manifest's slices by name.

        Raises:
            UsageError: A value makes no slice.
        """
        return {
            name: slice_by((self._columns[column][row] for row in self._rows), name)
            for name, column in self._slices.items()
        }

    def sample(self, index: int) -> Sample:
        """Returns one sample.

        Raises:
            UsageError: Its data are damaged or do not fit the manifest.
        """
        inputs = {name: self._input(index, name, spec) for name, spec in self._specs.items()}
        return Sample(inputs, None if self._labels is None else self._labels[index])

    def only(self, indices: Iterable[int]) -> Dataset:
        """Returns the samples at these indices, in that order."""
        part, chosen = copy.copy(self), list(indices)
        part._rows = [self._rows[index] for index in chosen]  # noqa: SLF001  # of this class
        part._labels = None if self._labels is None else [self._labels[index] for index in chosen]  # noqa: SLF001
        return part

    def batches(self, size: int) -> Iterator[Batch]:
        """Yields the samples in order, at most `size` at a time and never two shapes in one batch.

        Raises:
            UsageError: As for `sample`.
        """
        if size < 1:
            raise UsageError(f"a batch holds at least 1 sample, not {size}")
        run: list[Sample] = []
        for index in range(len(self)):
            sample = self.sample(index)
            if run and (len(run) == size or sample.shapes != run[0].shapes):
                yield _stacked(run, index - len(run))
                run = []
            run.append(sample)
        if run:
            yield _stacked(run, len(self) - len(run))

    def _input(self, index: int, name: str, spec: Preprocessing) -> np.ndarray:
        import numpy as np

        row = self._rows[index]
        try:
            values = [self._reader.decode(self._columns[column][row], spec) for column in _columns_of(spec)]
            if len({value.shape for value in values}) > 1:
                raise UsageError("its columns have different shapes")  # noqa: TRY301 - the place is added below
            return prepare(np.stack(values) if spec.columns else values[0], spec)
        except UsageError as error:
            raise UsageError(f"{self.title}, row {row}, input `{name}`: {error.message}", hint=error.hint) from None

    def _read_labels(self, spec: Labels) -> list[np.ndarray]:
        column, numbers = self._columns[spec.column], class_numbers(self.class_names)
        labels = []
        for row in self._rows:
            try:
                labels.append(read_text(column[row]) if spec.text else read_label(column[row], numbers))
            except UsageError as error:
                raise UsageError(f"{self.title}, row {row}: {error.message}", hint=error.hint) from None
        return empty_ones_alike(labels)


def open_dataset(folder: Path) -> Dataset:
    """Opens a dataset artifact.

    Args:
        folder: What `dataset_source` describes, laid out: dataset.json and the files.

    Raises:
        UsageError: Files are damaged, too large, too short, or do not fit the manifest.
        MissingDependency: A library that reads these files is absent.
    """
    return open_selection(selections.read(folder), folder)


def open_selection(selection: Selection, root: Path) -> Dataset:
    """Opens the selected samples of the files at `root`.

    Raises:
        UsageError: As `open_dataset`.
        MissingDependency: As `open_dataset`.
    """
    labels = selection.manifest.labels
    columns = tuple(dict.fromkeys(name for spec in _resolved(selection).values() for name in _columns_of(spec)))
    slices = tuple(selection.manifest.slices.values())
    request = Request(root, selection.part.files, columns, labels.column if labels else None, slices)
    try:
        return Dataset(selection, _reader(selection).read(request))
    except UsageError as error:
        prefix = "" if selection.title in error.message else f"{selection.title}: "
        raise UsageError(prefix + error.message, hint=error.hint) from None


def choose_rows(rows: Sequence[int], samples: int | None, title: str) -> Sequence[int]:
    """Returns `samples` of the rows, spread evenly.

    The rows are cut into `samples` stretches of equal length, and a generator with a fixed seed picks one of each: so
    classes are covered both where rows are sorted by label and where labels repeat with a fixed period.

    Raises:
        UsageError: There are too few rows.
    """
    if samples is None:
        return rows
    if samples > len(rows):
        raise UsageError(f"{title}: {samples} samples are asked for, but there are {len(rows)}", hint="lower `samples`")
    draw = random.Random(0)  # noqa: S311 - a fixed choice, nothing secret
    bounds = [index * len(rows) // samples for index in range(samples + 1)]
    return [rows[start + int(draw.random() * (stop - start))] for start, stop in itertools.pairwise(bounds)]


def sample_digests(dataset: Dataset) -> list[str]:
    """Returns the sha256 of each sample's inputs in hex; equal ones mean that two parts overlap."""
    return [_digest(dataset.sample(index).inputs) for index in range(len(dataset))]


def _digest(inputs: Mapping[str, np.ndarray]) -> str:
    state = hashlib.sha256()
    for name, value in sorted(inputs.items()):
        state.update(f"{name} {value.dtype.str} {value.shape} ".encode())
        state.update(value.tobytes())
    return state.hexdigest()


def _reader(selection: Selection) -> Reader:
    return next(iter(selection.manifest.reader.given.values()))


def _resolved(selection: Selection) -> dict[str, Preprocessing]:
    """Returns each input's preprocessing with the reader's defaults filled in."""
    reader = _reader(selection)
    return {
        name: replace(
            spec, column=spec.column or reader.default_column or name, layout=spec.layout or reader.default_layout
        )
        for name, spec in selection.manifest.inputs.items()
    }


def _columns_of(spec: Preprocessing) -> tuple[str, ...]:
    return spec.columns or (str(spec.column),)


def _rows(selection: Selection, columns: Mapping[str, Column]) -> range:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise UsageError(f"{selection.title}: the numbers of rows differ: {shown}")
    total = next(iter(lengths.values()))
    start, stop = selection.part.rows or (0, total)
    if stop > total:
        raise UsageError(f"{selection.title}: reaches to row {stop}, but the files hold {total}")
    if start == stop:
        raise UsageError(f"{selection.title}: holds no samples")
    return range(start, stop)


def _stacked(run: Sequence[Sample], start: int) -> Batch:
    import numpy as np

    inputs = {name: np.stack([sample.inputs[name] for sample in run]) for name in run[0].inputs}
    labels = [sample.label for sample in run if sample.label is not None]
    return Batch(inputs, np.stack(labels) if labels else None, start)
