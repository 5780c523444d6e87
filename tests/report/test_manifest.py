from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import UsageError
from optkit.report.manifest import NAME, differences, read_manifest, write_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optkit.core.results import RunReport

MODEL = "triton/mnist/1/model.onnx"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in {MODEL: b"weights", "triton/mnist/config.pbtxt": b"name: 'mnist'", "other/x": b"x"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_lists_every_packaged_file_and_no_other(approved: RunReport, folder: Path) -> None:
    write_manifest(approved, folder)
    entry = json.loads((folder / NAME).read_text())["candidates"][0]
    assert entry["files"] == [
        {"path": MODEL, "sha256": hashlib.sha256(b"weights").hexdigest(), "bytes": 7},
        {
            "path": "triton/mnist/config.pbtxt",
            "sha256": hashlib.sha256(b"name: 'mnist'").hexdigest(),
            "bytes": 13,
        },
    ]
    assert (entry["digest"], entry["approved"], entry["packages"]) == ("c" * 64, True, {"triton": "triton"})


def test_round_trip(refused: RunReport, folder: Path) -> None:
    assert repr(write_manifest(refused, folder)) == repr(read_manifest(folder))


def test_refused_candidate_has_no_files(refused: RunReport, folder: Path) -> None:
    manifest = write_manifest(refused, folder)
    assert manifest.outcome == "refused"
    assert manifest.candidates[0].files == ()
    assert not manifest.candidates[0].approved


def test_what_was_accepted_without_passing_is_stated(approved: RunReport, accepting: RunReport, folder: Path) -> None:
    assert write_manifest(approved, folder).candidates[0].accepted_without_pass == ()
    inconclusive, unmeasured = write_manifest(accepting, folder).candidates[0].accepted_without_pass
    assert inconclusive.startswith("top1.max_drop: inconclusive, accepted by the recipe (the 95 % bound 0.013 misses")
    assert unmeasured == "latency.min_speedup: unmeasured, accepted by the recipe (there is no GPU here)"


def test_whole_packages_have_no_differences(approved: RunReport, folder: Path) -> None:
    assert differences(write_manifest(approved, folder), folder) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / MODEL).write_bytes(b"weightz"), f"{MODEL} has changed"),
        (lambda folder: (folder / MODEL).unlink(), f"{MODEL} is missing"),
        (lambda folder: (folder / "triton/new").write_bytes(b""), "triton/new is not in the manifest"),
    ],
)
def test_differences_are_named(
    approved: RunReport, folder: Path, change: Callable[[Path], object], message: str
) -> None:
    manifest = write_manifest(approved, folder)
    change(folder)
    assert differences(manifest, folder) == [message]


def test_a_package_that_is_gone(approved: RunReport, folder: Path) -> None:
    first = replace(approved.candidates[0], packages={"bentoml": "bento"})
    with pytest.raises(UsageError, match="bento is not there"):
        write_manifest(replace(approved, candidates=(first,)), folder)
    assert not (folder / NAME).exists()


def test_a_link_in_a_package_is_refused(approved: RunReport, folder: Path) -> None:
    manifest = write_manifest(approved, folder)
    (folder / MODEL).unlink()
    (folder / MODEL).symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match="is a link"):
        differences(manifest, folder)


@pytest.mark.parametrize("path", ["../secret", "/etc", "triton/../../x", "", "."])
def test_paths_stay_below_the_folder(approved: RunReport, folder: Path, path: str) -> None:
    write_manifest(approved, folder)
    data = json.loads((folder / NAME).read_text())
    data["candidates"][0]["packages"]["triton"] = path
    (folder / NAME).write_text(json.dumps(data))
    with pytest.raises(UsageError, match="not a path below"):
        read_manifest(folder)


def test_damaged_and_absent_manifests(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no approved run: there is no MANIFEST\.json"):
        read_manifest(folder)
    (folder / NAME).write_text('{"version": 1}')
    with pytest.raises(UsageError, match="candidates"):
        read_manifest(folder)
