"""How often accuracy gates err: simulated candidates that lose 0, 0.5, 1 and 2 times what they may.

    python benchmarks/accuracy_gates.py [--runs N]

writes `results/accuracy-gates.json` and the table in `docs/gates.md`. The gate is `max_drop`, judged by the functions
that judge real candidates. A candidate at the limit or above it should pass, and one at the limit or below it fail, in
no more than 5 % of the runs.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from harness import ROOT, write

from optkit.core.gates import Estimate, Gate, Status, judge
from optkit.measure import accuracy
from optkit.measure.metrics.accuracy import Accuracy
from optkit.measure.metrics.f1 import F1, Decided
from optkit.measure.scores import Outcomes
from optkit.measure.statistics import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from optkit.measure.metrics.base import Metric
    from optkit.measure.scores import Scores

COUNTS = (500, 1000, 2000, 5000, 10_000)
TIMES_LIMIT = (0.0, 0.5, 1.0, 2.0)
LIMIT, ALPHA = 0.01, 0.05
RIGHT, GAINED, CLASSES = 0.9, 0.005, 4
BEGIN, END = "<!-- benchmarks/accuracy_gates.py writes from here -->", "<!-- to here -->"


@dataclass(frozen=True)
class Row:
    """Verdicts on many simulated candidates of one kind.

    Attributes:
        metric: What is judged.
        samples: Of each candidate.
        times_limit: True drop over the limit.
        runs: How many candidates.
        passed: Share of them.
        inconclusive: Share of them.
        failed: Share of them.
        wrong: Share of verdicts that say what is not so; at the limit the larger of passed and failed.
        as_stated: Whether that is no more than alpha, as far as so many runs can tell.
    """

    metric: str
    samples: int
    times_limit: float
    runs: int
    passed: float
    inconclusive: float
    failed: float
    wrong: float
    as_stated: bool


@dataclass(frozen=True)
class Judged:
    """A metric, and its scores of labels and decisions."""

    name: str
    metric: Metric
    scores: Callable[[NDArray[Any], NDArray[Any]], Scores]


def accuracy_rows(runs: int = 400, counts: Sequence[int] = COUNTS, seed: int = 0) -> list[Row]:
    """Returns the verdicts on `runs` simulated candidates for each metric, number of samples and true drop."""
    random = np.random.default_rng(seed)
    return [
        _row(judged, samples, times, runs, random) for judged in JUDGED for samples in counts for times in TIMES_LIMIT
    ]


def _row(judged: Judged, samples: int, times: float, runs: int, random: np.random.Generator) -> Row:
    found = Counter(_verdict(judged, samples, times * LIMIT, random) for _ in range(runs))
    passed, failed = found[Status.PASSED], found[Status.FAILED]
    wrong = max(passed if times >= 1 else 0, failed if times <= 1 else 0)
    return Row(
        metric=judged.name,
        samples=samples,
        times_limit=times,
        runs=runs,
        passed=passed / runs,
        inconclusive=found[Status.INCONCLUSIVE] / runs,
        failed=failed / runs,
        wrong=wrong / runs,
        as_stated=wilson_interval(wrong, runs)[0] <= ALPHA,
    )


def _verdict(judged: Judged, samples: int, drop: float, random: np.random.Generator) -> Status:
    labels, *decided = _pair(samples, drop, random)
    before, after = (judged.scores(labels, each) for each in decided)
    result = accuracy.judge("metric", judged.metric, before, after, ALPHA)
    estimate = Estimate(result.drop, result.drop_lower, result.drop_upper)
    return judge("metric", Gate(max_drop=LIMIT), {"max_drop": estimate})[0].status


def _pair(
    samples: int, drop: float, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Returns labels and what two models decide: the first is right in 90 %, the second loses `drop` of them.

    It gains 0.5 % and loses as much more. All classes are equally frequent and equally often mistaken, so that macro F1
    loses as much as accuracy does.
    """
    labels = random.integers(0, CLASSES, samples)
    mistaken = (labels + random.integers(1, CLASSES, samples)) % CLASSES
    kind = random.random(samples)
    lost, gained = kind < GAINED + drop, kind >= 1 - GAINED
    right = kind < RIGHT
    return labels, np.where(right, labels, mistaken), np.where((right & ~lost) | gained, labels, mistaken)


def _outcomes(labels: NDArray[Any], decided: NDArray[Any]) -> Outcomes:
    return Outcomes((labels == decided).astype(np.float64))


def _decided(labels: NDArray[Any], decided: NDArray[Any]) -> Decided:
    return Decided(np.stack([labels, decided], axis=1).astype(np.float64), CLASSES, "macro")


JUDGED = (Judged("top-1, score interval", Accuracy("y"), _outcomes), Judged("macro F1, bootstrap", F1("y"), _decided))


def section(rows: Sequence[Row]) -> str:
    """Returns the table of `docs/gates.md`."""
    return "\n".join([BEGIN, "", *_table(rows), "", END])


def _table(rows: Sequence[Row]) -> Iterator[str]:
    yield "| metric | samples | true drop / limit | passed | inconclusive | failed | wrong verdicts |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        shares = " | ".join(f"{100 * share:.1f} %" for share in (row.passed, row.inconclusive, row.failed, row.wrong))
        yield f"| {row.metric} | {row.samples} | {row.times_limit:g} | {shares} |"


def main() -> None:
    """Simulates, prints, and writes results and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400, help="simulated candidates for each row")
    rows = accuracy_rows(parser.parse_args().runs)
    write("accuracy-gates", {"alpha": ALPHA, "limit": LIMIT, "rows": [asdict(row) for row in rows]})
    page = ROOT / "docs" / "gates.md"
    text = page.read_text()
    page.write_text(text[: text.index(BEGIN)] + section(rows) + text[text.index(END) + len(END) :])
    print("\n".join(_table(rows)))
    print(f"as stated: {sum(row.as_stated for row in rows)} of {len(rows)} rows")


if __name__ == "__main__":
    main()
