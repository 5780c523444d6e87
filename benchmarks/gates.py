"""How often gates err: latency on a loaded machine (recorded and resampled, and real), accuracy simulated."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import accuracy_gates
import latency_gates
from harness import write

from optkit.core.gates import Status
from optkit.measure.latency import LAST_SHARE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Candidate → what must come out, how often at least or at most.
ASKED = {
    latency_gates.SAME: ((Status.FAILED, "<=", 0.01), (Status.INCONCLUSIVE, "<=", 0.05)),
    latency_gates.SLOWER: ((Status.FAILED, ">=", 0.99), (Status.PASSED, "<=", 0.01)),
}


def main() -> None:
    """Prints the shares of each outcome beside what is asked, and writes `results/gates.json`."""
    options = _options()
    if options.record:
        latency_gates.record(options.record, options.seconds)
    figures: dict[str, Any] = {}
    for how, count, run in (
        ("resampled", options.simulated, latency_gates.simulate),
        ("real", options.real, latency_gates.really_run),
    ):
        for candidate in ASKED if count else ():
            shares = latency_gates.shares(run(candidate, count, options.seconds))
            figures[f"{candidate}, {count} {how} runs"] = shares
            _show(f"{candidate}, {count} {how} runs", candidate, shares)
    if options.accuracy:
        print(accuracy_gates.section(accuracy_gates.accuracy_rows(options.accuracy)))
    write("gates", {"latency": figures, "seconds": options.seconds, "gate": "min_speedup: 0.95"})


def _show(title: str, candidate: str, shares: Mapping[str, Sequence[float]]) -> None:
    for outcome, compared, limit in ASKED[candidate]:
        share, low, high = shares[outcome]
        state = "ok" if (share <= limit if compared == "<=" else share >= limit) else "MISSED"
        print(f"{title:32} {outcome:13} asked {compared} {limit:.2f}   {share:.3f} [{low:.3f}, {high:.3f}]   {state}")
    if candidate == latency_gates.SAME:
        print(f"{title:32} bounds exclude 1, as 10 % may   {shares['bounds exclude 1'][0]:.3f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=int, default=0, metavar="SESSIONS", help="record anew, that many starts")
    parser.add_argument("--simulated", type=int, default=1000, metavar="RUNS")
    parser.add_argument("--real", type=int, default=0, metavar="RUNS")
    parser.add_argument(
        "--seconds",
        type=float,
        default=LAST_SHARE * latency_gates.DEFAULTS.seconds,
        help="of each measurement; by default what gates get of the default budget",
    )
    parser.add_argument("--accuracy", type=int, default=400, metavar="RUNS", help="simulated candidates for each row")
    return parser.parse_args()


if __name__ == "__main__":
    main()
