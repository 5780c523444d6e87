from __future__ import annotations

import io
import zipfile
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.core.artifact import digest_file
from optkit.core.errors import UsageError
from optkit.data.dataset import Dataset, choose_rows, open_dataset, sample_digests
from optkit.data.manifest import FilePin, Labels, Manifest, ReaderChoice
from optkit.data.preprocessing import Preprocessing
from optkit.data.readers import Npz
from optkit.data.selection import select
from optkit.data.source import dataset_source, load_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def ragged(lengths: list[int]) -> Dataset:
    """A dataset whose sample i is a sequence of lengths[i] times i."""
    manifest = Manifest(
        "ragged", {"f": FilePin()}, ReaderChoice(npz=Npz()), {"ids": Preprocessing(dtype="int64")}, labels=Labels("y")
    )
    columns: dict[str, Any] = {
        "ids": [np.full(length, row) for row, length in enumerate(lengths)],
        "y": list(range(len(lengths))),
    }
    return Dataset(select(manifest, None, None), columns)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=12), st.integers(1, 14))
def test_batches_hold_every_sample_once_in_order(lengths: list[int], size: int) -> None:
    dataset = ragged(lengths)
    seen = 0
    for batch in dataset.batches(size):
        assert batch.start == seen
        ids = batch.inputs["ids"]
        assert 1 <= len(ids) <= size
        assert batch.labels is not None
        np.testing.assert_array_equal(ids[:, 0], batch.labels)
        assert {ids.shape[1]} == {lengths[row] for row in batch.labels}
        seen += len(ids)
    assert seen == len(lengths)


@given(st.lists(st.integers(1, 2), min_size=1, max_size=12), st.integers(1, 12), st.integers(1, 12))
def test_samples_do_not_depend_on_the_batch_size(lengths: list[int], one: int, other: int) -> None:
    dataset = ragged(lengths)
    rows = [[row.tolist() for batch in dataset.batches(size) for row in batch.inputs["ids"]] for size in (one, other)]
    assert rows[0] == rows[1]


def test_equal_shapes_fill_batches() -> None:
    assert [len(batch.inputs["ids"]) for batch in ragged([2] * 7).batches(3)] == [3, 3, 1]


def test_batch_size_is_positive() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        next(ragged([1]).batches(0))


@given(st.integers(1, 300), st.data())
def test_chosen_rows_are_spread(count: int, data: st.DataObject) -> None:
    samples = data.draw(st.integers(1, count))
    rows = choose_rows(range(count), samples, "d")
    assert len(rows) == samples
    assert all(i * count // samples <= row < (i + 1) * count // samples for i, row in enumerate(rows))
    assert rows == choose_rows(range(count), samples, "d")


def test_all_rows_when_as_many_are_asked_for() -> None:
    assert list(choose_rows(range(5, 9), 4, "d")) == [5, 6, 7, 8]
    assert list(choose_rows(range(5, 9), None, "d")) == [5, 6, 7, 8]


@pytest.mark.parametrize("label", [lambda row: row // 100, lambda row: row % 10])
def test_chosen_rows_cover_classes_sorted_or_periodic(label: Callable[[int], int]) -> None:
    counts = Counter(label(row) for row in choose_rows(range(1000), 100, "d"))
    assert len(counts) == 10
    assert min(counts.values()) >= 3


def test_too_few_rows(tiny: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="tiny, split `test`: 11 samples are asked for, but there are 10"):
        load_dataset(tiny(), "test", 11)


def test_split_beyond_the_file(tiny: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="reaches to row 50, but the files hold 40"):
        load_dataset(tiny(splits={"test": {"rows": [30, 50]}}), "test")


def test_no_rows_at_all(tiny: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="holds no samples"):
        load_dataset(tiny({"x": np.zeros((0, 2)), "y": np.zeros(0, int)}))


def test_split_rows_and_labels(tiny: Callable[..., Path]) -> None:
    dataset = load_dataset(tiny(), "test")
    (batch,) = dataset.batches(64)
    assert len(dataset) == 10
    assert dataset.input_names == ("x",)
    assert dataset.class_names == ("a", "b", "c", "d")
    assert batch.inputs["x"].dtype == np.float32
    assert batch.inputs["x"][:, 0].tolist() == list(range(30, 40))
    assert batch.labels is not None
    assert batch.labels.dtype == np.int64
    assert batch.labels.tolist() == [3] * 10


def test_labels_that_are_text(tiny: Callable[..., Path]) -> None:
    said = {"x": np.zeros((40, 1)), "y": np.array(["ja", ""] * 20)}
    dataset = load_dataset(tiny(said, labels={"column": "y", "text": True}))
    labels = [dataset.sample(index).label for index in range(2)]
    assert [label.tolist() for label in labels if label is not None] == [[106, 97], []]


def test_without_labels(tiny: Callable[..., Path]) -> None:
    dataset = load_dataset(tiny(labels=None), "test")
    assert not dataset.has_labels
    assert dataset.class_names == ()
    assert next(dataset.batches(2)).labels is None


def lay_out(folder: Path, path: Path, split: str | None, samples: int | None) -> Path:
    """Does what the store does with a source."""
    source = dataset_source(path, split, samples, digest_file)
    for name, file in source.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(file.read_bytes())
    for name, content in source.documents.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(("split", "samples"), [("train", 7), ("test", None), (None, 40)])
def test_an_artifact_gives_the_same_samples(
    tiny: Callable[..., Path], tmp_path: Path, split: str | None, samples: int | None
) -> None:
    folder = tiny()
    dataset = open_dataset(lay_out(tmp_path / "artifact", folder, split, samples))
    assert sample_digests(dataset) == sample_digests(load_dataset(folder, split, samples))
    assert len(dataset) == samples or 10


def test_bare_npz_keeps_dtypes(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", ids=np.arange(6).reshape(2, 3), mask=np.ones((2, 3), bool), labels=np.array([0.5, 2]))
    dataset = open_dataset(lay_out(tmp_path / "artifact", tmp_path / "d.npz", None, None))
    (batch,) = dataset.batches(8)
    assert {name: value.dtype.name for name, value in batch.inputs.items()} == {"ids": "int64", "mask": "bool"}
    assert batch.labels is not None
    assert batch.labels.tolist() == [0.5, 2.0]


def test_several_files_follow_each_other(tiny: Callable[..., Path]) -> None:
    folder = tiny(files={"data.npz": {}, "more.npz": {}}, splits={"all": {}})
    np.savez(folder / "more.npz", x=np.array([[99]], np.int32), y=np.array([0]))
    dataset = load_dataset(folder, "all")
    assert len(dataset) == 41
    assert dataset.sample(40).inputs["x"].tolist() == [99.0]


def test_several_files_of_other_shapes(tiny: Callable[..., Path]) -> None:
    folder = tiny(files={"data.npz": {}, "more.npz": {}}, splits={"all": {}})
    np.savez(folder / "more.npz", x=np.zeros((1, 2)), y=np.array([0]))
    with pytest.raises(UsageError, match="different shapes in different files"):
        load_dataset(folder, "all")


def test_labels_of_another_length(tiny: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="numbers of rows differ: x 40, y 39"):
        load_dataset(tiny({"x": np.zeros((40, 1)), "y": np.zeros(39, int)}), "train")


def test_missing_array_suggests_the_nearest(tiny: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=r"data\.npz has no `image`\ndid you mean 'images'"):
        load_dataset(tiny({"images": np.zeros((40, 1)), "y": np.zeros(40)}, inputs={"image": {}}), "train")


@pytest.mark.parametrize("wrong", [4, -1])
def test_label_outside_the_classes(tiny: Callable[..., Path], wrong: int) -> None:
    labels = np.zeros(40, int)
    labels[5] = wrong
    with pytest.raises(UsageError, match=rf"row 5: the label {wrong} is not among the 4 classes"):
        load_dataset(tiny({"x": np.zeros((40, 1)), "y": labels}), "train")


def test_nan_names_the_row(tiny: Callable[..., Path]) -> None:
    x = np.zeros((40, 2))
    x[32, 1] = np.nan
    dataset = load_dataset(tiny({"x": x, "y": np.zeros(40, int)}), "test")
    with pytest.raises(UsageError, match="tiny, split `test`, row 32, input `x`: holds NaN"):
        list(dataset.batches(4))


def test_stacked_arrays(tiny: Callable[..., Path]) -> None:
    arrays = {"a": np.arange(40), "b": np.arange(40) * 2, "y": np.zeros(40, int)}
    dataset = load_dataset(tiny(arrays, inputs={"x": {"columns": ["a", "b"], "dtype": "float32"}}), "train")
    assert dataset.sample(3).inputs["x"].tolist() == [3.0, 6.0]


def test_stacked_arrays_of_other_shapes(tiny: Callable[..., Path]) -> None:
    arrays = {"a": np.arange(40), "b": np.zeros((40, 2)), "y": np.zeros(40, int)}
    dataset = load_dataset(tiny(arrays, inputs={"x": {"columns": ["a", "b"]}}), "train")
    with pytest.raises(UsageError, match="columns have different shapes"):
        dataset.sample(0)


class Planted:
    """What a pickle would run on loading."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("import pathlib; pathlib.Path('pwned').touch()",))


def test_pickles_are_refused_and_not_run(
    tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tiny({"x": np.array([Planted()] * 40, dtype=object), "y": np.zeros(40, int)})
    with pytest.raises(UsageError, match="array `x`: holds Python objects"):
        load_dataset(folder, "train")
    assert not (tmp_path / "pwned").exists()


def write_member(path: Path, header: bytes) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros(40, int))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header)
        archive.writestr("y.npy", stream.getvalue())


def npy_header(shape: str, *, version: bytes = b"\x01\x00") -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (npy_header("(40, 99999999999)"), "at most 4 GiB"),
        (npy_header("(40, 3)"), "damaged"),
        (npy_header("(-40, 3)"), "has shape"),
        (npy_header("()"), "the first axis must be the samples"),
        (npy_header("(40,)", version=b"\x09\x00"), "version"),
        (b"", "damaged"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "damaged"),
    ],
)
def test_damaged_arrays(tiny: Callable[..., Path], header: bytes, expected: str) -> None:
    folder = tiny()
    write_member(folder / "data.npz", header)
    with pytest.raises(UsageError, match=expected):
        load_dataset(folder, "train")


def test_truncated_archive(tiny: Callable[..., Path]) -> None:
    folder = tiny()
    content = (folder / "data.npz").read_bytes()
    (folder / "data.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UsageError, match=r"no \.npz archive"):
        load_dataset(folder, "train")


@pytest.mark.parametrize("offset", range(30, 200, 10))
def test_flipped_bytes_never_give_wrong_samples(tiny: Callable[..., Path], offset: int) -> None:
    folder = tiny()
    good = sample_digests(load_dataset(folder, "train"))
    content = bytearray((folder / "data.npz").read_bytes())
    content[offset] ^= 0xFF
    (folder / "data.npz").write_bytes(content)
    try:
        assert sample_digests(load_dataset(folder, "train")) == good
    except UsageError as error:
        assert "data.npz" in error.message  # noqa: PT017 - either outcome is right, silence is not


def test_sample_digests_find_overlap(tiny: Callable[..., Path]) -> None:
    x = np.arange(40)[:, None]
    x[35] = x[4]
    folder = tiny({"x": x, "y": np.zeros(40, int)})
    train, test = (sample_digests(load_dataset(folder, split)) for split in ("train", "test"))
    assert set(train) & set(test) == {train[4]}
    assert len(set(train)) == 30


def test_sample_digests_tell_shapes_and_dtypes_apart(tmp_path: Path) -> None:
    digests = set()
    for index, value in enumerate([np.zeros((1, 2, 1)), np.zeros((1, 1, 2)), np.zeros((1, 4), np.float32)]):
        np.savez(tmp_path / f"{index}.npz", x=np.asarray(value))
        digests |= set(sample_digests(load_dataset(tmp_path / f"{index}.npz")))
    assert len(digests) == 3
