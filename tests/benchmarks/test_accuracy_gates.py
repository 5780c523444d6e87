from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import accuracy_gates

    return accuracy_gates


def test_verdicts_follow_the_true_drop(gates: ModuleType) -> None:
    rows = {(row.metric, row.times_limit): row for row in gates.accuracy_rows(runs=4, counts=(10_000,))}
    assert len(rows) == 8
    for (_, times), row in rows.items():
        assert row.passed + row.inconclusive + row.failed == pytest.approx(1.0)
        assert times > 0 or (row.passed, row.wrong) == (1.0, 0.0)
        assert times < 2 or row.failed == 1.0


def test_the_simulated_models_lose_what_they_should(gates: ModuleType) -> None:
    import numpy as np

    labels, before, after = gates._pair(200_000, 0.02, np.random.default_rng(0))  # noqa: SLF001  # what the table rests on
    assert (before == labels).mean() == pytest.approx(0.9, abs=0.003)
    assert ((before == labels) & (after != labels)).mean() == pytest.approx(0.025, abs=0.002)
    assert ((before != labels) & (after == labels)).mean() == pytest.approx(0.005, abs=0.001)


def test_the_page_has_the_places_that_the_command_fills(gates: ModuleType) -> None:
    text = (ROOT / "docs" / "gates.md").read_text()
    table = text[text.index(gates.BEGIN) : text.index(gates.END)]
    assert table.count("\n| ") == 1 + len(gates.JUDGED) * len(gates.COUNTS) * len(gates.TIMES_LIMIT)
