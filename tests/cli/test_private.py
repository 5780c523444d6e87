from __future__ import annotations

import getpass
import platform
import sys
from pathlib import Path
from tempfile import gettempdir

import pytest

from tests.cli.command import Optkit
from tests.cli.conftest import Run, run_once
from tests.cli.project import torch_project

PRIVATE = "some-customer"
ELSEWHERE = {"TZ": "Pacific/Auckland", "LANG": "de_DE.UTF-8", "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def there(shared: Path) -> Optkit:
    """Returns the program with a home, a store, a language and a time zone of its own."""
    folder = shared / PRIVATE / "home"
    folder.mkdir(parents=True, exist_ok=True)
    return Optkit(folder, folder / "store", tuple(ELSEWHERE.items()))


@pytest.fixture(scope="module")
def elsewhere(there: Optkit, shared: Path) -> Run:
    """Returns a run of the same recipe in another folder and an empty store."""
    return run_once(there, shared / PRIVATE / "deep" / "er", torch_project)


@pytest.mark.heavy
def test_another_folder_and_store_give_the_same_bytes(elsewhere: Run, torch_run: Run) -> None:
    assert not any(elsewhere.done.cached.values())
    assert elsewhere.done.digests == torch_run.done.digests
    for part in ("triton", "golden"):
        assert contents(elsewhere.folder / part) == contents(torch_run.folder / part)


def contents(folder: Path) -> dict[str, bytes]:
    """Returns relative path → bytes of the files in a folder; there are some."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found
    return found


@pytest.mark.heavy
def test_artifacts_tell_nothing_of_where_they_were_made(elsewhere: Run, there: Optkit) -> None:
    people = [name for name in (getpass.getuser(), platform.node()) if len(name) > len("root")]
    secrets = [PRIVATE, gettempdir(), str(Path.home()), sys.prefix, "site-packages", "Traceback", *people]
    for place in (there.store / "objects", elsewhere.folder / "triton", elsewhere.folder / "golden"):
        for name, data in contents(place).items():
            assert [secret for secret in secrets if secret.encode() in data] == [], name


@pytest.mark.heavy
def test_the_graph_keeps_the_line_of_the_users_code(elsewhere: Run, there: Optkit) -> None:
    digest = elsewhere.done.digests["export"]
    assert b"model.py:14" in (there.store / "objects" / digest[:2] / digest / "model.onnx").read_bytes()


@pytest.mark.heavy
def test_what_a_run_publishes_tells_no_path(elsewhere: Run) -> None:
    for name in ("report.json", "report.html", "junit.xml", "summary.md", "MANIFEST.json"):
        assert PRIVATE not in (elsewhere.folder / name).read_text()
