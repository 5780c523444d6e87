"""How often gates err: latency on a loaded machine (recorded and resampled, and real), accuracy simulated."""

from __future__ import annotations

import argparse
from statistics import median
from typing import TYPE_CHECKING, Any

import accuracy_gates
import latency_gates
from harness import ROOT, write

from optkit.core.gates import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Candidate → what must come out, how often at least or at most.
ASKED = {
    latency_gates.SAME: ((Status.FAILED, "<=", 0.01), (Status.INCONCLUSIVE, "<=", 0.05)),
    latency_gates.SLOWER: ((Status.FAILED, ">=", 0.99), (Status.PASSED, "<=", 0.01)),
}
BEGIN, END = "<!-- benchmarks/gates.py writes from here -->", "<!-- what gates.py writes ends here -->"
_OUTCOMES = (Status.PASSED, Status.FAILED, Status.INCONCLUSIVE)
MOST_SECONDS = 30
"""For each candidate, loading and all."""


def main() -> None:
    """Prints the shares of each outcome beside what is asked; writes them to `results/gates.json` and to the page."""
    options = _options()
    if options.record:
        latency_gates.record(options.record, options.record_seconds)
    figures: dict[str, Any] = {}
    if options.real:
        for candidate, runs in latency_gates.really_run(options.real, options.real_seconds).items():
            figures |= _figures(f"{candidate}, {options.real} real runs", candidate, runs)
        print("from here on, what else the machine does no longer matters")
    for candidate in ASKED if options.simulated else ():
        runs = latency_gates.simulate(candidate, options.simulated, options.seconds)
        figures |= _figures(f"{candidate}, {options.simulated} resampled runs", candidate, runs)
    if options.accuracy:
        print(accuracy_gates.section(accuracy_gates.accuracy_rows(options.accuracy)))
    budgets = {"resampled": options.seconds, "real": options.real_seconds}
    write("gates", {"latency": figures, "seconds": budgets, "gate": "min_speedup: 0.95"})
    page = ROOT / "docs" / "gates.md"
    text = page.read_text()
    page.write_text(text[: text.index(BEGIN)] + "\n".join(_section(figures, budgets)) + "\n" + text[text.index(END) :])


def _section(figures: Mapping[str, Any], budgets: Mapping[str, float]) -> Iterator[str]:
    """Yields the lines of the page between BEGIN and END."""
    seconds = " and ".join(
        f"{value:g} s ({what})" for what, value in budgets.items() if any(what in key for key in figures)
    )
    yield from (BEGIN, "", f"Budget for each candidate: {seconds}.", "")
    yield "| | passed | failed | inconclusive | bounds exclude 1 | median seconds for each candidate | median starts |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for title, found in figures.items():
        shares = " | ".join(f"{100 * found['shares'][each][0]:.1f} %" for each in (*_OUTCOMES, latency_gates.EXCLUDE_1))
        yield f"| {title} | {shares} | {found['seconds']:.1f} | {found['starts']} |"
    yield ""


def _figures(title: str, candidate: str, runs: Sequence[latency_gates.Run]) -> dict[str, Any]:
    """Prints what came out beside what is asked, and returns it by its title."""
    shares = latency_gates.shares(runs)
    for outcome, compared, limit in ASKED[candidate]:
        share, low, high = shares[outcome]
        state = "ok" if (share <= limit if compared == "<=" else share >= limit) else "MISSED"
        print(f"{title:32} {outcome:13} asked {compared} {limit:.2f}   {share:.3f} [{low:.3f}, {high:.3f}]   {state}")
    if candidate == latency_gates.SAME:
        print(f"{title:32} bounds exclude 1, as 10 % may   {shares[latency_gates.EXCLUDE_1][0]:.3f}")
    seconds, starts = [run.seconds for run in runs], [run.starts for run in runs]
    state = "ok" if max(seconds) <= MOST_SECONDS else "MISSED"
    took = f"median {median(seconds):.1f}, at most {max(seconds):.1f}"
    print(f"{title:32} seconds       asked <= {MOST_SECONDS}    {took}   {state}")
    return {title: {"shares": shares, "seconds": median(seconds), "longest": max(seconds), "starts": median(starts)}}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=int, default=0, metavar="STARTS", help="record anew, that many starts")
    parser.add_argument("--record-seconds", type=float, default=4.0, metavar="SECONDS", help="timing of each start")
    parser.add_argument("--simulated", type=int, default=1000, metavar="RUNS")
    parser.add_argument("--real", type=int, default=0, metavar="RUNS")
    parser.add_argument(
        "--seconds",
        type=float,
        default=latency_gates.DEFAULTS.seconds,
        metavar="SECONDS",
        help="budget for each candidate of a resampled measurement; by default that of recipes",
    )
    parser.add_argument(
        "--real-seconds",
        type=float,
        default=latency_gates.DEFAULTS.seconds,
        metavar="SECONDS",
        help="the same, of real runs",
    )
    parser.add_argument("--accuracy", type=int, default=400, metavar="RUNS", help="simulated candidates for each row")
    return parser.parse_args()


if __name__ == "__main__":
    main()
