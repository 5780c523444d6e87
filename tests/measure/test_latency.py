from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.core import interface
from optkit.core.errors import StepFailed, UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.measure.latency import made_up_feeds, measure_latency
from optkit.measure.latency_report import Feed, Subject
from optkit.measure.worker_process import cpus_for, start_worker

if TYPE_CHECKING:
    from collections.abc import Generator

    from optkit.measure.latency_report import LatencyReport, Progress
    from tests.measure.conftest import MakeMlp


def _drain(measurement: Generator[Progress, None, LatencyReport]) -> tuple[list[Progress], LatencyReport]:
    seen = []
    while True:
        try:
            seen.append(next(measurement))
        except StopIteration as stop:
            return seen, stop.value


def _subject(name: str, folder: Path) -> Subject:
    return Subject(name, "onnxruntime", folder, 1)


def test_feeds_are_the_smallest_and_the_tuned_batch(mlp: MakeMlp) -> None:
    feeds = made_up_feeds(interface.read(mlp("m", batch=Dim(1, 4, 8))))
    assert [(feed.batch, feed.inputs["x"].shape) for feed in feeds] == [(1, (1, 8)), (4, (4, 8))]
    assert [feed.batch for feed in made_up_feeds(interface.read(mlp("n", batch=Dim(2, 2, 2))))] == [2]
    assert [feed.batch for feed in made_up_feeds(Interface((Tensor("x", "float32", (1, 3)),), ()))] == [1]


@pytest.mark.heavy
def test_a_larger_model_is_slower_and_everything_is_reported(mlp: MakeMlp) -> None:
    small, large = mlp("small"), mlp("large", width=100_000)
    feeds = made_up_feeds(interface.read(small))
    seen, report = _drain(
        measure_latency(_subject("large", large), [_subject("small", small)], feeds, budget=0.4, precision=0.5)
    )
    assert [progress.fraction for progress in seen] == sorted(progress.fraction for progress in seen)
    assert [result.batch for result in report.feeds] == [1, 4]
    for result in report.feeds:
        speedup = result.speedups["small"]
        assert speedup.ratio > 2
        assert speedup.interval[0] <= speedup.ratio <= speedup.interval[1]
        assert list(result.speedups) == ["small"]
        for timing in result.timings.values():
            assert len(timing.samples) >= 10
            raw = np.array(timing.samples) / 1e6
            assert timing.percentiles["p50"] == pytest.approx(np.median(raw), rel=1e-12)
            assert timing.throughput == pytest.approx(result.batch * 1e3 / timing.percentiles["p50"], rel=1e-12)
        assert "p99" in result.timings["small"].percentiles
    facts = report.processes
    assert facts["large"].peak_rss > facts["small"].peak_rss > 10_000_000
    assert all(fact.load_s > 0 and fact.first_run_s > 0 for fact in facts.values())


@pytest.mark.heavy
def test_alone_a_model_is_timed_until_its_own_median_settles(mlp: MakeMlp) -> None:
    folder = mlp("m")
    feed = Feed(1, {"x": np.ones((1, 8), np.float32)})
    _, report = _drain(measure_latency(_subject("m", folder), [], [feed], budget=20, precision=0.5))
    assert report.feeds[0].settled
    assert report.feeds[0].speedups == {}
    _, report = _drain(measure_latency(_subject("m", folder), [], [feed], budget=0, precision=1e-9))
    assert not report.feeds[0].settled
    assert len(report.feeds[0].timings["m"].samples) == 10


def test_the_worker_loads_one_runtime_and_leaves_stdout_alone(mlp: MakeMlp) -> None:
    with start_worker(_subject("m", mlp("m"))) as worker:
        worker.ask("open", runtime="onnxruntime", folder=str(mlp("n")), threads=1, cpus=cpus_for(1))
        pid = worker.process.pid
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "onnxruntime" in maps
        assert "libtorch" not in maps
        assert os.sched_getaffinity(pid) == set(cpus_for(1))
        assert worker.ask("peak_rss") > 10_000_000


def test_warm_threads_do_not_move(mlp: MakeMlp, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 8), np.float32))
    with start_worker(_subject("m", mlp("m"))) as worker:
        worker.open(cpus_for(1))
        worker.ask("feed", files={"x": str(tmp_path / "x.npy")})
        worker.ask("warm_up")
        assert os.sched_getaffinity(worker.process.pid) == set(cpus_for(1)[:1])
        assert len(worker.ask("measure_for", seconds=0)["samples"]) == 2
        measured = worker.ask("measure_for", seconds=0.05)
        assert sum(measured["samples"]) / 1e9 <= measured["seconds"] < 0.5


def test_a_model_that_prints_does_not_garble_the_replies(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    lines = [
        "import torch",
        "class Net(torch.nn.Module):",
        "  def forward(self, x):",
        "    print('hello')",
        "    return x",
    ]
    (code / "model.py").write_text("\n".join(lines))
    tensors = (Tensor("x", "float32", ("batch",)),), (Tensor("y", "float32", ("batch",)),)
    interface.write(tmp_path, Interface(*tensors), factory="model.py:Net", arguments={}, weights=None)
    np.save(tmp_path / "x.npy", np.ones(3, np.float32))
    with start_worker(Subject("m", "torch", tmp_path, 1)) as worker:
        worker.ask("open", runtime="torch", folder=str(tmp_path), threads=1, cpus=[])
        worker.ask("feed", files={"x": str(tmp_path / "x.npy")})
        assert len(worker.ask("measure", count=3)) == 3


def test_a_subject_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"junk")
    feed = Feed(1, {"x": np.ones((1, 8), np.float32)})
    with pytest.raises(UsageError, match=r"timing 'int8': model\.onnx is damaged"):
        _drain(measure_latency(_subject("int8", tmp_path), [], [feed], budget=1))


def test_a_subject_that_fails_is_named(mlp: MakeMlp) -> None:
    feed = Feed(1, {"x": np.ones((1, 9), np.float32)})
    with pytest.raises(StepFailed, match="timing 'int8': onnxruntime: Got invalid dimensions"):
        _drain(measure_latency(_subject("int8", mlp("m")), [], [feed], budget=1))


def test_a_candidate_that_cannot_be_opened_leaves_the_others_their_results(mlp: MakeMlp, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"junk")
    feed = Feed(1, {"x": np.ones((1, 8), np.float32)})
    others = [_subject("junk", tmp_path), _subject("twin", mlp("twin"))]
    _, report = _drain(measure_latency(_subject("m", mlp("m")), others, [feed], budget=0))
    assert list(report.feeds[0].speedups) == ["twin"]
    assert list(report.processes) == ["m", "twin"]
    assert list(report.failed) == ["junk"]
    with pytest.raises(UsageError, match=r"timing 'junk': model\.onnx is damaged"):
        report.raise_failure()


def test_a_worker_that_dies_is_named(mlp: MakeMlp) -> None:
    with start_worker(_subject("int8", mlp("m"))) as worker:
        worker.ask("peak_rss")
        os.kill(worker.process.pid, signal.SIGKILL)
        with pytest.raises(StepFailed, match=r"the process that timed 'int8' was killed by SIGKILL\nout of memory\?"):
            worker.ask("peak_rss")


def test_what_a_dying_worker_says_last_is_kept(mlp: MakeMlp) -> None:
    with (
        start_worker(_subject("int8", mlp("m"))) as worker,
        pytest.raises(StepFailed, match=r"'int8' ended with status 1: AttributeError"),
    ):
        worker.ask("no_such_request")


def test_workers_end_with_the_measurement(mlp: MakeMlp) -> None:
    feed = Feed(1, {"x": np.ones((1, 8), np.float32)})
    measurement = measure_latency(_subject("m", mlp("m")), [], [feed], budget=60)
    for progress in measurement:
        if progress.text.startswith("warming up"):
            break
    children = _children(os.getpid())
    assert children
    measurement.close()
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_workers_die_with_a_killed_parent(mlp: MakeMlp) -> None:
    code = """if True:
        import sys, time
        from pathlib import Path
        from optkit.measure.latency_report import Subject
        from optkit.measure.worker_process import start_worker
        with start_worker(Subject("m", "onnxruntime", Path(sys.argv[1]), 1)) as worker:
            worker.ask("peak_rss")
            print(worker.process.pid, flush=True)
            time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", code, str(mlp("m"))], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = json.loads(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def test_cpus_are_of_those_allowed() -> None:
    allowed = os.sched_getaffinity(0)
    assert set(cpus_for(1)) <= allowed
    assert len(cpus_for(len(allowed))) == len(allowed)
    assert cpus_for(len(allowed) + 1) == []


def _children(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def _alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except FileNotFoundError:
        return False
