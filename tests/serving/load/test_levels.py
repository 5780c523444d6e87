from __future__ import annotations

import pytest

from optkit.core.errors import UsageError
from optkit.serving.load.levels import Level, concurrencies, knee, latencies


def level(concurrency: int, throughput: float, errors: int = 0) -> Level:
    return Level(concurrency, 1.0, int(throughput), throughput, throughput, 1.0, {}, errors, 0, {}, 0.1)


def found(*throughputs: float) -> int | None:
    at = knee([level(1 << index, throughput) for index, throughput in enumerate(throughputs)])
    return at.concurrency if at else None


@pytest.mark.parametrize(
    ("throughputs", "expected"),
    [
        ((100, 190, 350, 360, 365), 4),
        ((100, 109, 115, 120), 1),
        ((100, 200, 400, 800), None),  # still growing
        ((100, 190, 150, 380, 390), 8),  # a dip is no knee
        ((100, 109, 120, 134, 150), None),  # no single step gains 10 %, but all of them together do
        ((500, 300, 200), 1),
        ((100,), None),
        ((), None),
        ((0, 0), None),
    ],
)
def test_knee(throughputs: tuple[float, ...], expected: int | None) -> None:
    assert found(*throughputs) == expected


def test_gains_count_per_doubling_whatever_the_steps() -> None:
    assert knee([level(1, 100), level(64, 170)]) == level(1, 100)  # 1.1 ** 6 = 1.77
    assert knee([level(1, 100), level(64, 180)]) is None
    assert knee([level(3, 100), level(4, 105)]) is None


def test_levels_with_errors_do_not_count() -> None:
    assert knee([level(1, 100), level(2, 50, errors=1), level(4, 200)]) is None
    assert knee([level(1, 100), level(2, 500, errors=1)]) is None


def test_percentiles_are_those_that_the_count_supports() -> None:
    assert latencies([]) == (None, {})
    mean, percentiles = latencies([0.001] * 5)
    assert mean == pytest.approx(1.0, rel=1e-9)
    assert percentiles == {}
    mean, percentiles = latencies([index / 1000 for index in range(1, 101)])
    assert mean == pytest.approx(50.5, rel=1e-9)
    assert percentiles == {"p50": pytest.approx(50.5, rel=1e-9), "p90": pytest.approx(90.1, rel=1e-9)}


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("1..64", (1, 2, 4, 8, 16, 32, 64)),
        ("1..48", (1, 2, 4, 8, 16, 32, 48)),
        ("3..3", (3,)),
        ("16,1,4,4", (1, 4, 16)),
        ("8", (8,)),
        ("1..256", (1, 2, 4, 8, 16, 32, 64, 128, 256)),
    ],
)
def test_levels_are_understood(text: str, levels: tuple[int, ...]) -> None:
    assert concurrencies(text) == levels


@pytest.mark.parametrize("text", ["0..4", "4..1", "1..257", "300", "-1", "0", "", "one", "1..", "..4", "1,x", "1.5"])
def test_others_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--concurrency"):
        concurrencies(text)
