from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.core.artifact import digest_entries, digest_file
from optkit.core.errors import UsageError
from optkit.data.selection import class_names_of
from optkit.data.source import dataset_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optkit.core.sources import Source


def source(path: Path, split: str | None = "train", samples: int | None = None) -> Source:
    return dataset_source(path, split, samples, digest_file)


def test_holds_the_files_and_the_selection(tiny: Callable[..., Path]) -> None:
    folder = tiny()
    found = source(folder, "train", 7)
    assert found.kind == "dataset"
    assert found.files == {"data.npz": folder / "data.npz"}
    selection = json.loads(found.documents["dataset.json"])
    assert (selection["split"], selection["samples"]) == ("train", 7)
    assert list(selection["manifest"]["splits"]) == ["train"]


def test_no_path_of_the_machine_enters(tiny: Callable[..., Path], tmp_path: Path) -> None:
    assert str(tmp_path).encode() not in source(tiny()).documents["dataset.json"]


def test_digest_does_not_depend_on_the_place(tiny: Callable[..., Path], tmp_path: Path) -> None:
    folder = tiny()
    first = source(folder).digest(digest_file)
    assert source(folder.rename(tmp_path / "elsewhere")).digest(digest_file) == first


def test_prose_other_splits_and_pins_do_not_enter(tiny: Callable[..., Path]) -> None:
    first = source(tiny()).documents
    pin = digest_file(tiny() / "data.npz")
    folder = tiny(
        description="new words",
        license="other",
        homepage="other",
        prepare="make data",
        files={"data.npz": {"sha256": pin}},
        splits={"train": {"rows": [0, 30]}, "more": {"rows": [1, 2]}},
    )
    assert source(folder).documents == first


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": {"x": {"dtype": "float32", "scale": 2.0}}},
        {"splits": {"train": {"rows": [0, 29]}}},
        {"labels": {"column": "y", "classes": ["a", "b", "c", "e"]}},
        {"labels": None},
    ],
)
def test_what_changes_samples_enters(tiny: Callable[..., Path], changes: dict[str, object]) -> None:
    first = source(tiny()).documents
    assert source(tiny(**changes)).documents != first


def test_split_and_samples_enter(tiny: Callable[..., Path]) -> None:
    folder = tiny()
    digests = {source(folder, split, n).digest(digest_file) for split in ("train", "test", None) for n in (3, None)}
    assert len(digests) == 6


def test_only_the_files_of_the_split(tiny: Callable[..., Path]) -> None:
    folder = tiny(files={"data.npz": {}, "absent.npz": {}}, splits={"train": {"files": ["data.npz"]}})
    assert set(source(folder).files) == {"data.npz"}


def test_a_folder_counts_with_all_visible_files(tiny: Callable[..., Path]) -> None:
    folder = tiny(files={"photos": {}}, splits={"train": {}})
    for name in ("photos/b/2.png", "photos/a/1.png", "photos/.hidden", "photos/.git/x", "other/3.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    assert list(source(folder).files) == ["photos/a/1.png", "photos/b/2.png"]


def test_a_folder_can_be_pinned(tiny: Callable[..., Path]) -> None:
    folder = tiny()
    (folder / "photos").mkdir()
    (folder / "photos" / "1.png").write_bytes(b"one")
    pin = digest_entries({"1.png": digest_file(folder / "photos" / "1.png")})
    assert set(source(tiny(files={"photos": {"sha256": pin}}, splits={"train": {}})).files) == {"photos/1.png"}
    (folder / "photos" / "1.png").write_bytes(b"two")
    with pytest.raises(UsageError, match="photos: its sha256"):
        source(folder)


def test_wrong_sha256_shows_both(tiny: Callable[..., Path]) -> None:
    folder = tiny(files={"data.npz": {"sha256": "ab" * 32}})
    with pytest.raises(UsageError) as caught:
        source(folder)
    for part in ("data.npz", "ab" * 32, digest_file(folder / "data.npz")):
        assert part in caught.value.message


def test_digests_are_asked_of_the_caller(tiny: Callable[..., Path]) -> None:
    folder = tiny(files={"data.npz": {"sha256": "cd" * 32}})
    asked: list[Path] = []

    def remembered(path: Path) -> str:
        asked.append(path)
        return "cd" * 32

    dataset_source(folder, "train", None, remembered)
    assert asked == [folder / "data.npz"]


def test_missing_file_suggests_the_nearest(tiny: Callable[..., Path]) -> None:
    folder = tiny(files={"dat.npz": {}})
    with pytest.raises(UsageError, match=r"dat\.npz.*missing\ndid you mean 'data\.npz'"):
        source(folder)


def test_empty_folder(tiny: Callable[..., Path]) -> None:
    folder = tiny(files={"photos": {}})
    (folder / "photos").mkdir()
    with pytest.raises(UsageError, match="holds no files"):
        source(folder)


@pytest.mark.parametrize("name", ["link.npz", "linked"])
def test_symbolic_links_cannot_lead_out(tiny: Callable[..., Path], tmp_path: Path, name: str) -> None:
    folder = tiny(files={name: {}})
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.npz").write_bytes(b"secret")
    (folder / name).symlink_to(outside if name == "linked" else outside / "secret.npz")
    with pytest.raises(UsageError, match=r"leads out|holds no files"):
        source(folder)


def test_classes_are_known_from_the_source_alone(tiny: Callable[..., Path], tmp_path: Path) -> None:
    assert class_names_of(source(tiny(labels={"column": "y", "classes": ["cat", "dog"]}))) == ("cat", "dog")
    np.savez(tmp_path / "bare.npz", x=np.zeros((3, 2)))
    assert class_names_of(source(tmp_path / "bare.npz", None)) == ()


def test_an_artifact_is_taken_as_it_is(tiny: Callable[..., Path], tmp_path: Path) -> None:
    first, kept = source(tiny(), "train", 7), tmp_path / "kept"
    kept.mkdir()
    for name, file in first.files.items():
        (kept / name).write_bytes(file.read_bytes())
    for name, document in first.documents.items():
        (kept / name).write_bytes(document)
    assert source(kept, None).digest(digest_file) == first.digest(digest_file)
    with pytest.raises(UsageError, match="no split `test`"):
        source(kept, "test")
    (kept / "dataset.json").write_text("{")
    with pytest.raises(UsageError, match=r"dataset\.json is not valid JSON"):
        source(kept, None)


def test_missing_folder_suggests_the_nearest(tiny: Callable[..., Path], tmp_path: Path) -> None:
    tiny()
    with pytest.raises(UsageError, match=r"there is no such dataset\ndid you mean 'tiny'"):
        source(tmp_path / "tinny")


def test_folder_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"dataset\.yaml"):
        source(tmp_path)


def test_naming_the_manifest_itself(tiny: Callable[..., Path]) -> None:
    folder = tiny()
    with pytest.raises(UsageError) as caught:
        source(folder / "dataset.yaml")
    assert caught.value.hint == f"name its folder, {folder}"


@pytest.mark.parametrize("samples", [0, -1])
def test_at_least_one_sample(tiny: Callable[..., Path], samples: int) -> None:
    with pytest.raises(UsageError, match="samples should be at least 1"):
        source(tiny(), samples=samples)


def test_unknown_split(tiny: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="did you mean 'train'"):
        source(tiny(), "trian")


def test_bare_npz(tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    np.savez(path, ids=np.zeros((2, 3)), mask=np.zeros((2, 3)), labels=np.zeros(2))
    found = source(path, None)
    manifest = json.loads(found.documents["dataset.json"])["manifest"]
    assert found.files == {"some.npz": path}
    assert set(manifest["inputs"]) == {"ids", "mask"}
    assert manifest["labels"]["column"] == "labels"


def test_bare_npz_has_no_splits(tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", x=np.zeros(2))
    with pytest.raises(UsageError, match="leave `split` out"):
        source(tmp_path / "some.npz")


def test_bare_npz_without_inputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", labels=np.zeros(2))
    with pytest.raises(UsageError, match="no arrays besides labels"):
        source(tmp_path / "some.npz", None)


@pytest.mark.parametrize("content", [b"", b"not a zip at all"])
def test_bare_npz_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "some.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"no \.npz archive"):
        source(tmp_path / "some.npz", None)


def test_other_files_are_no_datasets(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(UsageError, match="a dataset is a folder"):
        source(tmp_path / "x.txt", None)


def test_a_missing_file_names_the_command_that_makes_it(tiny: Callable[..., Path]) -> None:
    folder = tiny(prepare="make data")
    (folder / "data.npz").unlink()
    with pytest.raises(UsageError, match=r"data\.npz: the manifest names it, but it is missing\n`make data` makes it"):
        source(folder)
