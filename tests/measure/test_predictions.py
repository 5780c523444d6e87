from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.core.artifact import digest_tree
from optkit.core.errors import StepFailed, UsageError
from optkit.measure.predictions import PredictionsWriter, read_predictions

if TYPE_CHECKING:
    from tests.measure.conftest import MakePredictions


def test_round_trip_of_several_outputs_and_labels(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    logits, flags = random.normal(size=(5, 3)).astype(np.float16), random.integers(0, 2, 5).astype(bool)
    labels = np.arange(5)
    with PredictionsWriter(tmp_path, ["logits", "flags"], labels=True) as writer:
        for rows in (slice(0, 2), slice(2, 5)):
            writer.add({"flags": flags[rows], "logits": logits[rows], "more": flags}, labels[rows])
    read = read_predictions(tmp_path)
    assert len(read) == 5
    assert list(read.outputs) == ["logits", "flags"]
    assert read.labels is not None
    for samples, array in ((read.outputs["logits"], logits), (read.outputs["flags"], flags), (read.labels, labels)):
        stacked = samples.stacked()
        assert stacked is not None
        assert stacked.dtype == array.dtype
        np.testing.assert_array_equal(stacked, array)


@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_samples_may_differ_in_shape(lengths: list[int]) -> None:
    arrays = [np.full((length, 2), index, np.float32) for index, length in enumerate(lengths)]
    with tempfile.TemporaryDirectory() as folder:
        with PredictionsWriter(Path(folder), ["y"], labels=False) as writer:
            for array in arrays:
                writer.add({"y": array[None]})
        samples = read_predictions(Path(folder)).outputs["y"]
        for got, array in zip(samples, arrays, strict=True):
            np.testing.assert_array_equal(got, array)
        np.testing.assert_array_equal(samples[-1], arrays[-1])
        assert [len(part) for part in samples[1:]] == lengths[1:]
        assert (samples.stacked() is None) == (len(set(lengths)) > 1)


def test_bytes_do_not_depend_on_batching_or_byte_order(tmp_path: Path) -> None:
    data = np.arange(12, dtype=np.float32).reshape(6, 2)
    for name, size, dtype in (("a", 1, "<f4"), ("b", 6, ">f4")):
        (tmp_path / name).mkdir()
        with PredictionsWriter(tmp_path / name, ["y"], labels=False) as writer:
            for start in range(0, 6, size):
                writer.add({"y": data[start : start + size].astype(dtype)})
    assert digest_tree(tmp_path / "a") == digest_tree(tmp_path / "b")


def test_memory_does_not_grow_with_samples(tmp_path: Path) -> None:
    batch = np.zeros((8, 1000), np.float32)
    tracemalloc.start()
    with PredictionsWriter(tmp_path, ["y"], labels=False) as writer:
        for _ in range(200):
            writer.add({"y": batch})
    assert tracemalloc.get_traced_memory()[1] < 1_000_000  # 6.4 MB were written
    tracemalloc.stop()


def test_an_error_leaves_no_index(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), PredictionsWriter(tmp_path, ["y"], labels=False):
        _ = 1 / 0
    assert not (tmp_path / "predictions.json").exists()


def test_dtype_or_rank_that_changes_is_refused(tmp_path: Path) -> None:
    with PredictionsWriter(tmp_path, ["y"], labels=False) as writer:
        writer.add({"y": np.zeros((1, 2))})
        with pytest.raises(StepFailed, match="'y' is float64 with rank 0 for sample 1, <f8 with rank 1 before"):
            writer.add({"y": np.zeros(1)})


def test_labels_must_be_numbers(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="labels are not numbers"),
        PredictionsWriter(tmp_path, ["y"], labels=True) as writer,
    ):
        writer.add({"y": np.zeros(1)}, np.array(["cat"]))


def test_damaged_files_are_noticed(tmp_path: Path, predictions: MakePredictions) -> None:
    predictions(np.zeros((4, 2)))
    file = tmp_path / "predictions0" / "field_0.bin"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(StepFailed, match="predictions of 'y' are damaged"):
        read_predictions(file.parent)
