from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "recipes" / "install.py"
STATE = ROOT / ".recipes" / "state.json"
MAKE = """import sys
from pathlib import Path

text = (Path(sys.argv[1]) / "toy-data" / "toy" / "numbers.txt").read_text()
Path("calibration/toy.txt").write_text(text.upper())
"""


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipes_install", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def toy_wheel(folder: Path) -> str:
    """Writes a wheel with data that nobody's index has, and returns its sha256."""
    folder.mkdir()
    path = folder / "toy_data-1.0-py3-none-any.whl"
    about = "toy_data-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toy/numbers.txt", "one two")
        archive.writestr("toy/code.py", "raise SystemExit('nobody runs this')")
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: toy-data\nVersion: 1.0\nRequires-Dist: gone\n"
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Returns the script, at work on a clone of its own with one package and one product."""
    module = loaded()
    sha256 = toy_wheel(tmp_path / "index")
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "make.py").write_text(MAKE)
    for name, value in {
        "ROOT": tmp_path,
        "SOURCES": tmp_path / ".recipes",
        "STATE": tmp_path / ".recipes" / "state.json",
        "PACKAGES": (module.Wheel("toy-data", "1.0", ("toy/numbers",), sha256),),
        "PRODUCTS": (module.Product(("calibration/toy.txt",), "calibration/make.py", ("toy-data",)),),
    }.items():
        monkeypatch.setattr(module, name, value)
    # `run` starts commands in the clone; its default was bound to the real one.
    monkeypatch.setattr(module.run, "__defaults__", (tmp_path,))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return module


def test_what_is_missing_is_fetched_and_made_and_then_left_alone(
    clone: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert clone.main() == 0
    assert (clone.ROOT / "calibration" / "toy.txt").read_text() == "ONE TWO"
    files = [path.name for path in (clone.SOURCES / "toy-data").rglob("*") if path.is_file()]
    assert files == ["numbers.txt"]
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["fetching toy-data 1.0", "making calibration/toy.txt"]
    assert clone.main() == 0
    assert capsys.readouterr().out.splitlines() == ["models and data of all recipes are there: nothing to do"]


def test_what_goes_or_changes_is_made_again(clone: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert clone.main() == 0
    (clone.ROOT / "calibration" / "toy.txt").unlink()
    assert clone.main() == 0
    (clone.ROOT / "calibration" / "make.py").write_text(MAKE.replace("upper", "title"))
    assert clone.main() == 0
    assert (clone.ROOT / "calibration" / "toy.txt").read_text() == "One Two"
    assert capsys.readouterr().out.count("making calibration/toy.txt") == 3


def test_another_wheel_than_the_one_that_was_tested_is_refused(
    clone: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clone, "PACKAGES", (clone.Wheel("toy-data", "1.0", ("toy/",), "0" * 64),))
    assert clone.main() == 1
    assert "toy_data-1.0-py3-none-any.whl is not the one that was tested: its sha256 is" in capsys.readouterr().err
    assert not (clone.SOURCES / "toy-data").exists()


def test_a_failed_step_says_which_command_failed_and_keeps_what_was_done(
    clone: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    (clone.ROOT / "calibration" / "make.py").write_text("raise SystemExit('no')")
    assert clone.main() == 1
    assert "this failed: " in capfd.readouterr().err
    assert list(json.loads(clone.STATE.read_text())) == ["toy-data"]


def test_every_product_is_made_from_packages_that_are_fetched() -> None:
    module = loaded()
    names = {package.name for package in module.PACKAGES}
    for product in module.PRODUCTS:
        assert set(product.packages) <= names
        assert not product.script.endswith(".py") or (ROOT / product.script).is_file()
    assert {name for product in module.PRODUCTS for name in product.packages} == names


def test_a_second_run_does_nothing_and_says_so() -> None:
    if not STATE.is_file():
        pytest.skip("`make recipes` was not run")
    before = STATE.stat().st_mtime_ns
    started = time.monotonic()
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True)
    assert done.stdout == "models and data of all recipes are there: nothing to do\n"
    assert time.monotonic() - started < 20  # a second on an idle machine
    assert STATE.stat().st_mtime_ns == before
