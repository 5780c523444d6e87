from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from optkit.core import session_options
from optkit.core.errors import UsageError
from optkit.core.session_options import SessionOptions

if TYPE_CHECKING:
    from pathlib import Path

TUNED = SessionOptions(3, "parallel", "basic", arena=False, spinning=False)


def test_they_come_back_as_they_were_written(tmp_path: Path) -> None:
    assert session_options.read(tmp_path) is None
    session_options.write(TUNED, tmp_path)
    assert session_options.read(tmp_path) == TUNED
    assert replace(TUNED, threads=1) != TUNED


def changed(**changes: object) -> str:
    return json.dumps(asdict(TUNED) | changes)


DAMAGED: dict[str, tuple[str, str]] = {
    "nothing": ("", "Expecting value"),
    "no mapping": ("[]", "it should name threads, execution, graph, arena, spinning"),
    "too little": ('{"threads": 2}', "it should name threads, "),
    "too much": (changed(code="import os"), "it should name threads, "),
    "no threads": (changed(threads=0), "threads should be a number from 1 on"),
    "threads that are none": (changed(threads=True), "threads should be a number from 1 on"),
    "threads in part": (changed(threads=1.5), "threads should be a number from 1 on"),
    "execution": (changed(execution="both"), "execution should be one of sequential, parallel"),
    "graph": (changed(graph=["all"]), "graph should be one of all, extended, basic"),
    "arena": (changed(arena=1), "arena should be true or false"),
    "huge": (" " * 5000 + changed(), "Expecting value"),
    "deep": ("[" * 4000, ""),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "session.json").write_text(text)
    with pytest.raises(UsageError, match=f"session.json holds no session options: .*{expected}"):
        session_options.read(tmp_path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "session.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="holds no session options"):
        session_options.read(tmp_path)
