"""How often gates err: latency on a loaded machine (recorded and resampled, and real), accuracy simulated."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

import accuracy_gates
import latency_gates
from harness import write

from optkit.core.gates import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

# Candidate → what must come out, how often at least or at most.
ASKED = {
    latency_gates.SAME: ((Status.FAILED, "<=", 0.01), (Status.INCONCLUSIVE, "<=", 0.05)),
    latency_gates.SLOWER: ((Status.FAILED, ">=", 0.99), (Status.PASSED, "<=", 0.01)),
}
MOST_SECONDS = 30
"""For each candidate, loading and all."""


def main() -> None:
    """Prints the shares of each outcome beside what is asked, and writes `results/gates.json`."""
    options = _options()
    if options.record:
        latency_gates.record(options.record, options.record_seconds)
    figures: dict[str, Any] = {}
    for candidate in ASKED if options.simulated else ():
        runs = latency_gates.simulate(candidate, options.simulated, options.seconds)
        figures |= _figures(f"{candidate}, {options.simulated} resampled runs", candidate, runs)
    if options.real:
        for candidate, runs in latency_gates.really_run(options.real, options.seconds).items():
            figures |= _figures(f"{candidate}, {options.real} real runs", candidate, runs)
    if options.accuracy:
        print(accuracy_gates.section(accuracy_gates.accuracy_rows(options.accuracy)))
    write("gates", {"latency": figures, "seconds": options.seconds, "gate": "min_speedup: 0.95"})


def _figures(title: str, candidate: str, runs: Sequence[latency_gates.Run]) -> dict[str, Any]:
    """Prints what came out beside what is asked, and returns it by its title."""
    shares = latency_gates.shares(runs)
    for outcome, compared, limit in ASKED[candidate]:
        share, low, high = shares[outcome]
        state = "ok" if (share <= limit if compared == "<=" else share >= limit) else "MISSED"
        print(f"{title:32} {outcome:13} asked {compared} {limit:.2f}   {share:.3f} [{low:.3f}, {high:.3f}]   {state}")
    if candidate == latency_gates.SAME:
        print(f"{title:32} bounds exclude 1, as 10 % may   {shares['bounds exclude 1'][0]:.3f}")
    seconds, starts = (sorted(values) for values in zip(*((run.seconds, run.starts) for run in runs), strict=True))
    middle, longest = seconds[len(seconds) // 2], seconds[-1]
    state = "ok" if longest <= MOST_SECONDS else "MISSED"
    print(f"{title:32} seconds       asked <= {MOST_SECONDS}    median {middle:.1f}, at most {longest:.1f}   {state}")
    took = {"median": middle, "most": longest, "starts": dict(Counter(map(str, starts)))}
    return {title: {"shares": shares, "seconds": took}}


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
        help="budget for each candidate of a measurement; by default that of recipes",
    )
    parser.add_argument("--accuracy", type=int, default=400, metavar="RUNS", help="simulated candidates for each row")
    return parser.parse_args()


if __name__ == "__main__":
    main()
