from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import UsageError
from optkit.workflow import output

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="is not empty and is not an earlier run"):
        output.prepare(tmp_path, ["triton"])
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_an_earlier_run_is_cleared_of_what_optkit_wrote_and_of_nothing_else(tmp_path: Path) -> None:
    output.prepare(tmp_path, ["triton"])
    for name in ("triton", "golden", "repro", ".partial-triton"):
        (tmp_path / name).mkdir()
    for name in ("report.json", "report.html", "junit.xml", "summary.md", "MANIFEST.json", "my-notes.txt"):
        (tmp_path / name).write_text("")
    output.prepare(tmp_path, ["triton"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.MARK, "my-notes.txt"]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "triton"
    with output.appearing(target) as draft:
        (draft / "file").write_text("x")
        assert not target.exists()
    assert (target / "file").read_text() == "x"


def test_a_folder_does_not_appear_if_writing_it_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with output.appearing(tmp_path / "triton") as draft:
            (draft / "file").write_text("x")
            raise UsageError("no")

    with pytest.raises(UsageError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="could not be written"):
        output.prepare(tmp_path / "file" / "out", ["triton"])
