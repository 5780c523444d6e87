"""Tables whose entries are imported when they are asked for."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from typing import TYPE_CHECKING

import pytest

from optkit.core import lazy
from optkit.core.errors import UsageError
from optkit.core.lazy import LazyTable
from optkit.measure.metrics import METRICS
from optkit.passes import PASSES
from optkit.serving import EMITTERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS = [*PASSES.values(), *METRICS.values(), *EMITTERS.values()]


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Installs a distribution that brings a good entry, one that raises, one that is missing and one of our name."""
    info = tmp_path / "theirs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[optkit.passes]\ngood = theirs:Good\nraises = theirs_broken:Any\nmissing = theirs:Absent\n"
        "export = theirs:Good\n"
    )
    (tmp_path / "theirs.py").write_text("class Good: pass\n")
    (tmp_path / "theirs_broken.py").write_text("raise OSError('no licence')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    lazy.installed_plugins.cache_clear()
    yield tmp_path
    lazy.installed_plugins.cache_clear()


def test_an_entry_is_what_its_reference_names() -> None:
    table: LazyTable[type] = LazyTable({"ordered": "collections:OrderedDict"})
    assert table["ordered"] is OrderedDict
    assert "ordered" in table
    assert "other" not in table
    assert list(table) == ["ordered"]
    assert len(table) == 1
    with pytest.raises(KeyError):
        table["other"]


def test_every_entry_of_our_tables_can_be_loaded() -> None:
    assert all(isinstance(entry, type) for entry in OURS)
    assert len(set(OURS)) == len(PASSES) + len(METRICS) + len(EMITTERS)


def test_asking_for_one_pass_leaves_the_others_unloaded() -> None:
    code = "import sys; from optkit.passes import PASSES; PASSES['export']; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "optkit.passes.export" in done.stdout.split()
    assert "optkit.passes.build_engine" not in done.stdout.split()


def test_a_plugin_adds_a_name_and_cannot_replace_ours(plugins: Path) -> None:
    del plugins
    table = PASSES.with_plugins("optkit.passes")
    assert table["good"].__module__ == "theirs"
    assert table["export"] is PASSES["export"]
    assert "good" not in METRICS.with_plugins("optkit.metrics")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raises", "'raises' cannot be loaded from theirs_broken:Any: OSError: no licence"),
        ("missing", "'missing' cannot be loaded from theirs:Absent: AttributeError"),
    ],
)
def test_a_broken_plugin_is_named_when_it_is_asked_for(plugins: Path, name: str, reason: str) -> None:
    del plugins
    with pytest.raises(UsageError, match=reason):
        PASSES.with_plugins("optkit.passes")[name]
