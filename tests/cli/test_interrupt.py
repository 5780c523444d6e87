from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from optkit.core.artifact import digest_tree
from tests.cli.outcome import assert_nothing_deployable
from tests.cli.processes import using, wait_until_gone

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit
    from tests.cli.project import Project

KILLS = 20
Stop = Callable[[subprocess.Popen[str]], None]


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kills the program and what shares its group, as a closed terminal does."""
    os.killpg(process.pid, signal.SIGKILL)


def kill_main(process: subprocess.Popen[str]) -> None:
    """Kills the program alone, as the kernel does when memory runs out."""
    process.kill()


def stopped_at(process: subprocess.Popen[str], line: int, delay: float, stop: Stop) -> list[dict[str, Any]]:
    """Stops the program some time after it has printed so many events; returns the whole events that it printed."""
    assert process.stdout is not None
    lines = []
    for text in process.stdout:
        lines.append(text)
        if len(lines) > line:
            break
    time.sleep(delay)
    if process.poll() is None:
        stop(process)
    lines += process.stdout.readlines()
    process.communicate()
    return [json.loads(text) for text in lines if text.endswith("\n")]


def assert_whole(store: Path) -> None:
    """Checks every object in a store against its address."""
    for path in store.glob("objects/*/*"):
        assert digest_tree(path) == path.name


@pytest.mark.heavy
def test_twenty_kills_lose_nothing(fresh: Optkit, project: Project, tmp_path: Path) -> None:
    draw = random.Random(20)
    out = tmp_path / "out"
    made: dict[int, dict[str, str]] = {samples: {} for samples in (12, 16, 20, 24)}
    for kill in range(KILLS):
        samples = list(made)[kill % len(made)]
        knob = f"data.calibration.samples={samples}"
        process = fresh.start("optimize", project.recipe, "-o", out, "--json", "--set", knob)
        stop = draw.choice([kill_group, kill_main])
        events = stopped_at(process, draw.randrange(24), draw.random() * 0.5, stop)
        wait_until_gone(fresh.store)
        assert_whole(fresh.store)
        for event in events:
            if event["event"] == "step-finished":
                assert made[samples].setdefault(event["step"], event["digest"]) == event["digest"]
    assert sum(map(len, made.values())) > len(made)
    for samples, finished in made.items():
        done = fresh("optimize", project.recipe, "-o", out, "--json", "--set", f"data.calibration.samples={samples}")
        assert all(done.cached[step] for step in finished)
        assert done.digests.items() >= finished.items()
        assert (out / "triton" / "tiny" / "1" / "model.onnx").is_file()
    assert not list(fresh.store.glob("tmp/*"))
    assert_whole(fresh.store)


def interrupt_group(process: subprocess.Popen[str]) -> None:
    """Does what Ctrl-C in a terminal does."""
    os.killpg(process.pid, signal.SIGINT)


def interrupt_main(process: subprocess.Popen[str]) -> None:
    """Interrupts the program alone."""
    process.send_signal(signal.SIGINT)


def when(event: str, step: str) -> Callable[[str], bool]:
    """Returns whether a line is that event of that step."""
    return lambda line: json.loads(line).items() >= {"event": event, "step": step}.items()


@pytest.mark.parametrize("stop", [interrupt_group, interrupt_main], ids=["group", "main"])
@pytest.mark.parametrize("step", ["quantize", "latency"])
def test_an_interrupt_ends_everything_and_keeps_what_is_finished(
    step: str, stop: Stop, copied: Optkit, project: Project, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    knob = "data.calibration.samples=28" if step == "quantize" else "measure.seconds=60"
    knobs = ("--set", knob, "--set", "measure.precision=0.0001")
    process = copied.start("optimize", project.recipe, "-o", out, "--json", *knobs)
    assert process.stdout is not None
    assert any(map(when("step-started", step), process.stdout))
    time.sleep(0.5)
    stop(process)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "interrupted; what is finished is kept, run again to go on"
    wait_until_gone(copied.store)
    assert not list(copied.store.glob("tmp/*"))
    assert_nothing_deployable(out)
    if step == "quantize":
        done = copied("optimize", project.recipe, "-o", out, "--json", "--set", knob)
        assert done.cached["simplify"]
        assert not done.cached["quantize"]


def test_two_at_once_build_each_step_once(fresh: Optkit, project: Project, tmp_path: Path) -> None:
    outs = [tmp_path / "one", tmp_path / "two"]
    processes = [fresh.start("optimize", project.recipe, "-o", out, "--json") for out in outs]
    printed = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    finished = [
        {event["step"]: event for event in map(json.loads, text.splitlines()) if event["event"] == "step-finished"}
        for text, _ in printed
    ]
    assert finished[0].keys() == finished[1].keys()
    for step, event in finished[0].items():
        assert event["digest"] == finished[1][step]["digest"]
        assert [event["cached"], finished[1][step]["cached"]].count(False) == 1
    assert all((out / "triton" / "tiny" / "1" / "model.onnx").is_file() for out in outs)
    assert not list(fresh.store.glob("tmp/*"))
    assert not using(fresh.store)
