"""Several walks over one store at once, and walks that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from optkit.core.events import StepFinished, StepStarted, StepWaiting
from optkit.core.keys import key_of
from optkit.core.recipe import Step
from tests.core.sample_passes import Append

if TYPE_CHECKING:
    from optkit.core.runner import Execution
    from optkit.core.store import Store

ROOT = Path(__file__).parents[2]
Walk = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def walk(store: Store) -> Iterator[Walk]:
    """Returns a function that starts a walk in another process, over the test's store."""
    with ExitStack() as processes:

        def start(pass_name: str, **options: object) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.core.walk", str(store.root), pass_name, json.dumps(options)],
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            processes.enter_context(process)
            processes.callback(process.kill)
            return process

        yield start


def events(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return [json.loads(line) for line in output.splitlines()]


def test_walks_that_race_build_once(walk: Walk, tmp_path: Path) -> None:
    log = tmp_path / "log"
    racers = [walk("Append", log=str(log), seconds=1.0) for _ in range(3)]
    finished = [events(racer)[-1] for racer in racers]
    assert log.read_text() == "ran\n"
    assert sorted(event["cached"] for event in finished) == [False, True, True]
    assert len({event["digest"] for event in finished}) == 1


def test_a_walk_says_that_it_waits_for_another(
    walk: Walk, execution: Callable[..., Execution], tmp_path: Path, store: Store
) -> None:
    here = execution()
    step = Step("step", Append(log=str(tmp_path / "log")), {"model": "model"})
    key = key_of(here.key_parts(step))
    other = walk("Append", log=str(tmp_path / "log"))
    with store.lock(key):  # as a walk that builds the step holds it
        events_here = here.execute(step)
        assert next(events_here) == StepWaiting("step")  # told while it waits, not when that is over
    assert isinstance([*events_here][-1], StepFinished)
    assert events(other)[-1]["event"] == "step-finished"


def test_different_steps_do_not_wait_for_each_other(execution: Callable[..., Execution], store: Store) -> None:
    here = execution()
    with store.lock("another key"):
        found = list(here.execute(Step("step", Append(), {"model": "model"})))
    assert StepStarted("step") in found
    assert not any(isinstance(event, StepWaiting) for event in found)


def test_a_pass_dies_with_the_walk_that_started_it(
    walk: Walk, tmp_path: Path, store: Store, wait_for: Callable[..., bool], vanishes: Callable[[int], bool]
) -> None:
    pid_file = tmp_path / "pid"
    process = walk("Sleep", pid_file=str(pid_file))
    assert wait_for(pid_file.exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert vanishes(int(pid_file.read_text()))
    assert list((store.root / "tmp").iterdir())
    store.sweep()
    assert list((store.root / "tmp").iterdir()) == []
    assert list(store.actions()) == []


def test_an_interrupted_walk_ends_its_pass_and_leaves_nothing(
    walk: Walk, tmp_path: Path, store: Store, wait_for: Callable[..., bool], vanishes: Callable[[int], bool]
) -> None:
    pid_file = tmp_path / "pid"
    process = walk("Sleep", pid_file=str(pid_file))
    assert wait_for(pid_file.exists)
    process.send_signal(signal.SIGINT)
    process.wait()
    assert vanishes(int(pid_file.read_text()))
    assert list((store.root / "tmp").iterdir()) == []


def test_a_killed_walk_frees_its_lock_for_the_next(walk: Walk, tmp_path: Path, wait_for: Callable[..., bool]) -> None:
    pid_file = tmp_path / "pid"
    first = walk("Sleep", pid_file=str(pid_file), seconds=1.5)
    assert wait_for(pid_file.exists)
    second = walk("Sleep", pid_file=str(pid_file), seconds=1.5)
    first.send_signal(signal.SIGKILL)
    assert events(second)[-1]["cached"] is False


@pytest.mark.heavy
def test_a_walk_killed_at_any_moment_can_be_run_again(walk: Walk, store: Store) -> None:
    for number in range(6):
        process = walk("Append", suffix=str(number), seconds=0.05)
        time.sleep(0.12 * number)
        process.send_signal(signal.SIGKILL)
        process.wait()
        store.sweep()
        assert list((store.root / "tmp").iterdir()) == []
        assert events(walk("Append", suffix=str(number), seconds=0.05))[-1]["event"] == "step-finished"
    for _, action in store.actions():
        assert (store.get(action.artifact) / "text.txt").exists()
    assert len(list(store.actions())) == 6
