from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.measure.energy import package_counters

if TYPE_CHECKING:
    from pathlib import Path


def _zone(root: Path, name: str, energy: str, wraps: int = 999) -> Path:
    zone = root / name
    zone.mkdir(parents=True)
    (zone / "energy_uj").write_text(f"{energy}\n")
    (zone / "max_energy_range_uj").write_text(f"{wraps}\n")
    return zone


def test_packages_are_counted_and_their_parts_are_not(tmp_path: Path) -> None:
    first, _, _ = (_zone(tmp_path, f"intel-rapl:{name}", "100") for name in ("0", "0:1", "1"))
    (tmp_path / "intel-rapl").mkdir()
    counters, why = package_counters(tmp_path)
    assert not why
    assert [counter.file.parent.name for counter in counters] == ["intel-rapl:0", "intel-rapl:1"]
    before = counters[0].read()
    (first / "energy_uj").write_text("350\n")
    assert counters[0].since(before) == 250


def test_a_counter_that_starts_anew_goes_on(tmp_path: Path) -> None:
    zone = _zone(tmp_path, "intel-rapl:0", "990")
    (counter,), _ = package_counters(tmp_path)
    (zone / "energy_uj").write_text("15\n")
    assert counter.since(990) == 25


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    assert package_counters(tmp_path / "absent") == (
        [],
        f"this machine shows no energy counters ({tmp_path / 'absent'})",
    )
    zone = _zone(tmp_path, "intel-rapl:0", "no number")
    counters, why = package_counters(tmp_path)
    assert counters == []
    assert why.startswith("the energy counters cannot be read: invalid literal")
    (zone / "energy_uj").unlink()
    assert "No such file" in package_counters(tmp_path)[1]
