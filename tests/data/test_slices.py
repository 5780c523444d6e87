from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from optkit.core.artifact import digest_file
from optkit.core.errors import RecipeError, UsageError
from optkit.data.dataset import open_dataset
from optkit.data.selection import slicings_of
from optkit.data.slices import slice_by
from optkit.data.source import bare_manifest, dataset_source, load_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_values_become_slices_in_sorted_order() -> None:
    slicing = slice_by(np.array(["eu", "us", "eu"]), "region")
    assert slicing.names == ("eu", "us")
    assert {name: samples.tolist() for name, samples in slicing.parts()} == {
        "eu": [True, False, True], "us": [False, True, False],
    }  # fmt: skip
    assert slice_by(np.array([10.0, 9.0]), "size").names == ("9", "10")
    assert slice_by([True, False], "night").names == ("False", "True")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5], "slices.s: 0.5 is neither a text nor a whole number"),
        ([None], "slices.s: None is neither"),
        ([np.zeros(2)], "is neither a text nor a whole number"),
        (range(1001), "slices.s: 1001 different values; at most 1000 make slices\nname a column that groups"),
    ],
)
def test_values_that_make_no_slices(values: list[object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        slice_by(values, "s")


def test_slices_of_the_chosen_rows(tiny: Callable[..., Path]) -> None:
    arrays = {"x": np.zeros((40, 1)), "y": np.zeros(40, int), "where": np.arange(40) // 20}
    folder = tiny(arrays, slices={"half": "where"})
    assert load_dataset(folder, "test").slicings()["half"].names == ("1",)
    assert load_dataset(folder).only([0, 39]).slicings()["half"].codes.tolist() == [0, 1]


def test_an_archive_may_hold_slices(tmp_path: Path) -> None:
    path = tmp_path / "bare.npz"
    region: dict[str, Any] = {"slice.region": np.array(list("abab"))}
    np.savez(path, x=np.zeros((4, 2)), labels=np.zeros(4, int), **region)
    assert list(bare_manifest(path).inputs) == ["x"]
    source = dataset_source(path, None, None, digest_file)
    assert slicings_of(source) == ("label", "region")


def test_slices_survive_in_an_artifact(tmp_path: Path, tiny: Callable[..., Path]) -> None:
    arrays = {"x": np.zeros((40, 1)), "y": np.zeros(40, int), "where": np.arange(40) // 20}
    source = dataset_source(tiny(arrays, slices={"half": "where"}, labels=None), "train", None, digest_file)
    assert slicings_of(source) == ("half",)
    folder = tmp_path / "artifact"
    folder.mkdir()
    for name, path in source.files.items():
        (folder / name).write_bytes(path.read_bytes())
    for name, text in source.documents.items():
        (folder / name).write_bytes(text)
    assert open_dataset(folder).slicings()["half"].codes.tolist() == [0] * 20 + [1] * 10


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        ({"label": "y"}, "slices.label  slices by class have this name  \\(give it another\\)"),
        ({"a=b": "y"}, "slices.a=b  should be a name"),
        ({"half": 3}, "slices.half  should be a valid string"),
    ],
)
def test_mistakes_in_a_manifest(tiny: Callable[..., Path], slices: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_dataset(tiny(slices=slices))


def test_a_column_that_is_not_there(tiny: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=r"data\.npz has no `wher`"):
        load_dataset(tiny(slices={"half": "wher"}))
