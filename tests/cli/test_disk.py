from __future__ import annotations

import resource
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.cli.outcome import assert_nothing_deployable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.command import Optkit
    from tests.cli.project import Project


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Returns a regular file, which nobody, not even root, can make a folder in."""
    path = tmp_path / "file"
    path.write_text("")
    return path


def test_an_output_folder_that_cannot_be_made(optkit: Optkit, project: Project, file: Path) -> None:
    said = optkit("optimize", project.recipe, "-o", file / "out", code=2).err
    assert f"{file}/out could not be written: Not a directory" in said
    assert "as in -o DIR" in said


def test_an_output_folder_that_is_a_file(optkit: Optkit, project: Project, file: Path) -> None:
    assert "is a file" in optkit("optimize", project.recipe, "-o", file, code=2).err


def test_an_output_folder_that_holds_other_things(optkit: Optkit, project: Project) -> None:
    before = sorted(project.folder.iterdir())
    said = optkit("optimize", project.recipe, "-o", project.folder, code=2).err
    assert "is not empty and is not an earlier run" in said
    assert sorted(project.folder.iterdir()) == before


def test_a_store_that_cannot_be_made(optkit: Optkit, project: Project, file: Path) -> None:
    out = project.folder.parent / "out"
    said = optkit("optimize", project.recipe, "-o", out, "--store", file / "store", code=2).err
    assert f"the store {file}/store cannot be written: Not a directory" in said
    assert_nothing_deployable(out)


def limited(optkit: Optkit, bytes_a_file: int) -> Optkit:
    """Returns the program under a limit on the size of files: writing beyond it fails as it does on a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, bytes_a_file))

    return replace(optkit, before=limit)


@pytest.mark.parametrize("bytes_a_file", [0, 300, 1800, 7000])
def test_a_file_that_cannot_be_written_to_its_end(bytes_a_file: int, fresh: Optkit, project: Project) -> None:
    out = project.folder.parent / "out"
    ended = limited(fresh, bytes_a_file)("optimize", project.recipe, "-o", out, code=5)
    assert "File too large" in ended.err
    assert "bug" not in ended.err
    assert_nothing_deployable(out)
    assert not list(fresh.store.glob("tmp/*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Returns an empty folder on a disk of 48 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        pytest.skip("there is no mount")
    command = [mount, "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system here")
    yield folder
    subprocess.run([umount, str(folder)], check=True)


@pytest.mark.heavy
def test_a_full_disk(fresh: Optkit, project: Project, small_disk: Path) -> None:
    full = replace(fresh, store=small_disk / "store")
    out = project.folder.parent / "out"
    said = full("optimize", project.recipe, "-o", out, code=5).err
    assert "No space left on device" in said
    assert "give --store DIR" in said
    assert_nothing_deployable(out)
    # What was finished before the disk was full is whole, and what was not left nothing.
    assert not list(full.store.glob("tmp/*"))
    shutil.copytree(full.store, fresh.store)
    done = fresh("optimize", project.recipe, "-o", out, "--json")
    assert (out / "triton").is_dir()
    assert any(done.cached.values())


@pytest.mark.heavy
def test_a_full_disk_under_the_output(optkit: Optkit, project: Project, small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(40 << 10))
    said = optkit("optimize", project.recipe, "-o", small_disk / "out", code=5).err
    assert "No space left on device" in said
    assert_nothing_deployable(small_disk / "out")
