"""Finds session options that make a graph faster: each change against none, then the best of them once more.

Of several changes tried, one looks faster by chance sooner or later. What the first measurement finds therefore counts
only if a second one, made for this alone, says so too.
"""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from optkit.core import interface as interfaces
from optkit.core import session_options
from optkit.core.copying import copy_file, copy_tree
from optkit.core.errors import UsageError
from optkit.core.passes import DEFAULT_TARGET
from optkit.core.session_options import SESSION_FILE, SessionOptions
from optkit.measure.latency import made_up_feeds, measure_latency
from optkit.measure.latency_report import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work
    from optkit.measure.latency_report import LatencyReport, Speedup
    from optkit.passes.tune import Tune

DEFAULTS = "the defaults"
_RUNTIMES = {"onnxruntime-cpu": "onnxruntime", "openvino-cpu": "openvino"}
_TUNABLE = {"onnxruntime": frozenset({"threads", "execution", "graph", "arena", "spinning"}), "openvino": {"threads"}}


def tune(do: Tune, model: Path, work: Work) -> None:
    """Writes the artifact at `model` with the session options that proved fastest into `work.out`.

    Raises:
        UsageError: The target cannot be timed here.
        StepFailed: The model cannot be run with the defaults.
    """
    target, most = do.target or DEFAULT_TARGET, do.threads or 1
    if target not in _RUNTIMES:
        raise UsageError(f"tune decides by timing, and {target} cannot be timed here", hint="leave tune out")
    trial, default = _Trial(do, model, work, _RUNTIMES[target]), SessionOptions(most)
    changes = changes_of(most, [name for name in do.options if name in _TUNABLE[trial.runtime]])
    found = trial.run(default, {name: replace(default, **change) for name, change in changes.items()}, 0.0)
    last = finalists(default, changes, _faster(found))
    confirmed = trial.run(default, last, 0.5)
    kept = next(iter(_faster(confirmed)), None)
    chosen = last[kept] if kept else default
    copy_tree(model, work.out)
    session_options.write(chosen, work.out)
    work.notes["tune"] = {
        "runtime": trial.runtime, "threads": most, "kept": kept, "options": asdict(chosen),
        "tried": {name: _numbers(speedup) for name, speedup in found.items()},
        "confirmed": {name: _numbers(speedup) for name, speedup in confirmed.items()},
        "failed": trial.failed,
    }  # fmt: skip


def _faster(speedups: Mapping[str, Speedup]) -> list[str]:
    """Returns what the intervals say is faster than the defaults, the fastest first."""
    sure = [name for name, speedup in speedups.items() if speedup.interval[0] > 1]
    return sorted(sure, key=lambda name: -speedups[name].ratio)


def changes_of(most: int, names: list[str]) -> dict[str, dict[str, Any]]:
    """Returns what to try, by name: one option each, changed from its default.

    Args:
        most: Threads that a session may have.
        names: Options to change.
    """
    counts = [2**power for power in range(most.bit_length()) if 2**power < most]
    every: dict[str, list[tuple[str, Any]]] = {
        "threads": [(f"{count} thread{'s' if count > 1 else ''}", count) for count in counts],
        "execution": [("parallel execution", "parallel")] if most > 1 else [],
        "graph": [("graph level extended", "extended"), ("graph level basic", "basic")],
        "arena": [("no arena", False)],
        "spinning": [("no spinning", False)] if most > 1 else [],
    }
    return {text: {name: value} for name in dict.fromkeys(names) for text, value in every[name]}


def finalists(
    default: SessionOptions, changes: Mapping[str, dict[str, Any]], faster: list[str]
) -> dict[str, SessionOptions]:
    """Returns what is to be confirmed: the fastest change, and all together; of two for one option, the faster counts.

    Args:
        default: What is changed.
        changes: What was tried, by name.
        faster: What looked faster, the fastest first.
    """
    if not faster:
        return {}
    together: dict[str, Any] = {}
    for name in reversed(faster):
        together |= changes[name]
    best = {faster[0]: replace(default, **changes[faster[0]])}
    names = [name for name in faster if together.items() >= changes[name].items()]
    return best if len(names) == 1 else {**best, ", ".join(names): replace(default, **together)}


class _Trial:
    """Times one graph with several session options, interleaved, in processes of their own."""

    def __init__(self, do: Tune, model: Path, work: Work, runtime: str) -> None:
        self._do, self._model, self._work = do, model, work
        self.runtime = runtime
        self.failed: dict[str, str] = {}

    def run(self, default: SessionOptions, others: Mapping[str, SessionOptions], done: float) -> dict[str, Speedup]:
        """Returns name → speedup over the defaults; what fails is left out and noted.

        Args:
            default: What the others are compared with.
            others: By name.
            done: The share of the step's work that is behind it.
        """
        if not others:
            return {}
        subjects = [self._subject(str(index), name, options) for index, (name, options) in enumerate(others.items())]
        baseline = self._subject("default", DEFAULTS, default)
        feeds = made_up_feeds(interfaces.read(self._model))[-1:]
        timing = measure_latency(baseline, subjects, feeds, self._do.seconds / 2, self._do.precision)
        while True:
            try:
                state = next(timing)
            except StopIteration as stop:
                report: LatencyReport = stop.value
                self.failed |= {name: error.message for name, error in report.failed.items()}
                speedups = report.feeds[-1].speedups
                return {name: speedups[name] for name in others if name not in report.failed}
            self._work.progress(done + state.fraction / 2, f"timing {state.text.strip()}")

    def _subject(self, folder: str, name: str, options: SessionOptions) -> Subject:
        copy = self._work.scratch / "tune" / folder
        copy.mkdir(parents=True, exist_ok=True)
        for file in self._model.iterdir():
            if file.name != SESSION_FILE and not (copy / file.name).exists():
                _link(file, copy / file.name)
        session_options.write(options, copy)
        return Subject(name, self.runtime, copy, options.threads)


def _link(source: Path, target: Path) -> None:
    """Gives a file a second name for as long as it is timed, or copies it to another file system."""
    try:
        os.link(source, target)
    except OSError:
        copy_file(source, target)


def _numbers(speedup: Speedup) -> list[float]:
    return [speedup.ratio, *speedup.interval]
