from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from optkit.core.errors import RecipeError, UsageError
from optkit.data.checks import is_contained
from optkit.data.manifest import load_manifest
from optkit.data.readers import Csv

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {
    "name": "tiny",
    "files": {"data.npz": {"sha256": "0" * 64}, "more.npz": {}},
    "reader": {"npz": {}},
    "splits": {"train": {"rows": [0, 3]}, "test": {"files": ["more.npz"]}},
    "inputs": {"x": {"column": "images", "scale": 0.5, "shape": [1, 2], "dtype": "float32"}},
    "labels": {"column": "y", "classes": ["a", "b"]},
}


def write(folder: Path, document: object) -> Path:
    path = folder / "dataset.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def mistakes(folder: Path, **changes: Any) -> str:  # noqa: ANN401  # any YAML
    with pytest.raises(RecipeError) as caught:
        load_manifest(write(folder, GOOD | changes))
    assert str(folder / "dataset.yaml") in caught.value.message
    return caught.value.message


def test_reads_every_section(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, GOOD | {"license": "MIT", "homepage": "h", "description": "d"}))
    assert manifest.files["data.npz"].sha256 == "0" * 64
    assert manifest.inputs["x"].shape == (1, 2)
    assert manifest.splits["train"].rows == (0, 3)
    assert manifest.labels is not None
    assert manifest.labels.classes == ("a", "b")
    assert (manifest.license, manifest.homepage, manifest.description) == ("MIT", "h", "d")


def test_reader_options_are_read(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, GOOD | {"reader": {"csv": {"delimiter": ";"}}}))
    assert manifest.reader.given == {"csv": Csv(delimiter=";")}


def test_split_fills_in_all_files(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, GOOD))
    assert manifest.split("train").files == ("data.npz", "more.npz")
    assert manifest.split("test").files == ("more.npz",)
    assert manifest.split(None).rows is None


def test_unknown_split_suggests_the_nearest(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, GOOD))
    with pytest.raises(UsageError, match=r"tiny has no split `tran`\ndid you mean 'train'"):
        manifest.split("tran")


def test_split_of_a_dataset_without_splits(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, {**GOOD, "splits": {}}))
    with pytest.raises(UsageError, match="leave `split` out"):
        manifest.split("train")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"licence": "MIT"}, "did you mean 'license'"),
        ({"inputs": {"x": {"sacle": 1.0}}}, "inputs.x.sacle  unknown key  (did you mean 'scale'?)"),
        ({"splits": {"train": {"row": [0, 1]}}}, "did you mean 'rows'"),
        ({"files": {"data.npz": {"sha": "0"}}}, "files.data.npz.sha  unknown key"),
        ({"reader": {"nzp": {}}}, "did you mean 'npz'"),
        ({"name": 3}, "name  should be a valid string, not 3"),
        ({"inputs": {"x": {"scale": "big"}}}, "inputs.x.scale"),
        ({"inputs": {"x": {"dtype": "float31"}}}, "inputs.x.dtype"),
        ({"inputs": {}}, "inputs  names no input"),
        ({"files": {}}, "files  names no file"),
        ({"reader": {}}, "needs exactly one reader"),
        ({"reader": {"npz": {}, "csv": {}}}, "needs exactly one reader"),
        ({"reader": {"csv": {"delimiter": "ab"}}}, "reader.csv.delimiter"),
        ({"reader": {"csv": {}}, "inputs": {"x": {}}}, "inputs.x.dtype  is missing"),
        ({"files": {"../data.npz": {}}}, "must stay inside the manifest's folder"),
        ({"files": {"/etc/passwd": {}}}, "must stay inside the manifest's folder"),
        ({"files": {"dataset.json": {}}}, "a file that optkit writes"),
        ({"files": {"data.npz": {"sha256": "xyz"}}}, "should be 64 hex digits"),
        ({"splits": {"train": {"rows": [3, 3]}}}, "no row is left"),
        ({"splits": {"train": {"rows": [-1, 3]}}}, "splits.train.rows"),
        ({"splits": {"train": {"rows": [1, 2, 3]}}}, "splits.train.rows"),
        ({"splits": {"train": {"files": ["dat.npz"]}}}, "did you mean 'data.npz'"),
        ({"inputs": {"x": {"column": "a", "columns": ["b"]}}}, "does not go with `column`"),
        ({"inputs": {"x": {"resize": 8}}}, "inputs.x.resize  goes with images only"),
        ({"inputs": {"x": {"mode": "L"}}}, "inputs.x.mode  goes with images only"),
        ({"reader": {"images": {}}, "inputs": {"x": {"columns": ["b"]}}}, "does not go with images"),
        ({"reader": {"images": {}}, "inputs": {"x": {"crop": [0, 4]}}}, "sizes are at least 1"),
        ({"inputs": {"x": {"shape": [2, -1]}}}, "sizes are at least 1"),
        ({"inputs": {"x": {"std": [1.0, 0.0]}}}, "inputs.x.std  cannot be 0"),
        ({"inputs": {"x": {"scale": 0}}}, "inputs.x.scale  cannot be 0"),
        ({"inputs": {"x": {"mean": float("inf")}}}, "inputs.x.mean  should be finite"),
        ({"labels": {"classes": ["a", "a"]}}, "'a' stands twice"),
        ({"labels": {"classes": ["a\nb"]}}, "one printable line"),
        ({"labels": {"classes": ["a"], "text": True}}, "labels.text  labels are either text or classes"),
        ({"labels": {"classes": [0, 1]}}, "labels.classes[0]"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    assert expected in mistakes(tmp_path, **changes)


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    message = mistakes(tmp_path, inputs={"x": {"std": 0.0}}, splits={"train": {"rows": [5, 2]}})
    assert "inputs.x.std" in message
    assert "splits.train.rows" in message


@pytest.mark.parametrize("document", [None, [1, 2], "text"])
def test_a_manifest_is_a_mapping(tmp_path: Path, document: object) -> None:
    with pytest.raises(UsageError, match=r"dataset\.yaml"):
        load_manifest(write(tmp_path, document))


def test_missing_section(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="reader  is missing"):
        load_manifest(write(tmp_path, {key: value for key, value in GOOD.items() if key != "reader"}))


def test_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"dataset\.yaml.*cannot be read"):
        load_manifest(tmp_path / "dataset.yaml")


@pytest.mark.parametrize(
    ("name", "contained"),
    [
        ("a.npz", True),
        ("a/b.npz", True),
        ("a..b/c", True),
        ("../a", False),
        ("a/../../b", False),
        ("/a", False),
        ("", False),
    ],
)
def test_is_contained(name: str, contained: bool) -> None:  # noqa: FBT001  # a table of cases
    assert is_contained(name) is contained


def test_planning_needs_no_heavy_import() -> None:
    heavy = ("numpy", "pydantic", "torch", "yaml", "PIL", "pyarrow")
    code = f"import sys, optkit.data; print(*(name for name in {heavy} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
