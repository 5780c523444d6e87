"""With a server that misbehaves: each fault is named and counted, what went well is kept, nothing takes for ever."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.core.errors import UsageError, VerifyFailed
from optkit.core.events import StepProgress
from optkit.workflow.loading import Load, LoadReport, demand, load

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from optkit.core.events import Event
    from tests.serving.load.conftest import Doubling, Handler

    Fault = Callable[[Handler, int], bool]


def wanted(doubling: Doubling, run: Path | None, concurrency: str = "2", **changes: object) -> Load:
    fields = {
        "url": doubling.url, "protocol": None, "tensors": "auto", "model": None, "run": run, "data": None,
        "split": None, "batch": 1, "concurrency": concurrency, "seconds": 0.2, "timeout": 5.0, "allow_remote": False,
    }  # fmt: skip
    return Load(**{**fields, **changes})  # type: ignore[arg-type]  # the fields above


def driven(request: Load) -> LoadReport:
    return the_rest(load(request))


def the_rest(events: Generator[Event, None, LoadReport]) -> LoadReport:
    while True:
        try:
            next(events)
        except StopIteration as stop:
            report: LoadReport = stop.value
            return report


def after_questions(fault: Fault, doubling: Doubling) -> None:
    """The fault begins when the requests that are sent alone (2 recorded ones, 6 cut from them) are over."""
    doubling.misbehave = lambda handler, number: number > 8 and fault(handler, number)


def test_a_good_server_is_right_at_every_level(doubling: Doubling, run: Path) -> None:
    report = driven(wanted(doubling, run, "1,3"))
    demand(report)
    assert (report.model, report.server, report.tensors, report.requests) == ("double", "doubling 1", "json", 6)
    assert [level.concurrency for level in report.levels] == [1, 3]
    for level in report.levels:
        assert level.clean
        assert level.answers > 0
        assert level.requests_per_second == pytest.approx(level.answers / 0.2, rel=1e-9)
        assert level.samples_per_second == level.requests_per_second
        assert level.mean_ms is not None
        assert level.mean_ms > 0
        assert level.client_cores > 0


def test_larger_requests_are_cut_to_size(doubling: Doubling, run: Path) -> None:
    report = driven(wanted(doubling, run, batch=2))
    assert report.requests == 2  # of the five samples; the single one is too few
    (level,) = report.levels
    assert level.samples_per_second == pytest.approx(2 * level.requests_per_second, rel=1e-9)


def body_of(text: bytes) -> Fault:
    return lambda handler, _: handler.send(text)


def closes(handler: Handler, _: int) -> bool:
    handler.close_connection = True
    return True


def truncates(handler: Handler, _: int) -> bool:
    handler.send(b"{", Content_Length="99")
    handler.close_connection = True
    return True


def redirects(handler: Handler, _: int) -> bool:
    handler.send(b"", 307, Location="http://192.0.2.1/v2/models/double/infer")
    return True


def sleeps(handler: Handler, _: int) -> bool:
    time.sleep(1.0)
    return closes(handler, 0)


def drips(handler: Handler, _: int) -> bool:
    handler.send(b"", Content_Length="1000")
    for _ in range(30):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)
    return True


FAULTS: dict[str, tuple[Fault, str]] = {
    "refuses": (lambda handler, _: handler.answer({"error": "queue\n full"}, 503), "status 503: queue full"),
    "has a bug": (lambda handler, _: handler.send(b"<html>", 500), "status 500: Internal Server Error"),
    "says 422": (lambda handler, _: handler.answer({"detail": "no"}, 422), "status 422: no"),
    "redirects": (redirects, "status 307: a redirect, which is not followed"),
    "closes": (closes, "the server closed the connection"),
    "truncates": (truncates, "the server closed the connection"),
    "garbage": (body_of(b"\xff"), "the answer is no inference response"),
    "other JSON": (body_of(b"[1]"), "the answer is no inference response"),
    "no outputs": (body_of(b'{"outputs": [{}]}'), "the answer is no inference response"),
    "deep JSON": (body_of(b"[" * 100_000), "the answer is no inference response"),
    "sleeps": (sleeps, "no answer within 0.6 s"),
    "drips": (drips, "no answer within 0.6 s"),
}  # fmt: skip
WRONG: dict[str, tuple[Fault, str]] = {
    "other values": (lambda handler, _: handler.double(3), "output 'y' is off by"),
    "NaN": (lambda handler, _: handler.double(float("nan")), "output 'y' is off by nan|has no NaN|NaN"),
    "other shape": (lambda handler, _: handler.double(shape=[2, 1]), r"output 'y' is float32 \[2, 1\]"),
    "other type": (lambda handler, _: handler.double(datatype="FP64"), "output 'y' is float64"),
    "other name": (lambda handler, _: handler.double(name="z"), "output 'y' missing from the answer"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_errors(name: str, doubling: Doubling, run: Path) -> None:
    fault, message = FAULTS[name]
    after_questions(fault, doubling)
    started = time.monotonic()
    report = driven(wanted(doubling, run, timeout=0.6 if "no answer" in message else 5.0))
    assert time.monotonic() - started < 8
    (level,) = report.levels
    assert (level.answers, level.wrong) == (0, 0)
    assert set(level.problems) == {message}
    assert level.errors == sum(level.problems.values()) > 0
    with pytest.raises(VerifyFailed, match=r"double: 0 wrong answers, \d+ requests without an answer\n  concurrency 2"):
        demand(report)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_are_found(name: str, doubling: Doubling, run: Path) -> None:
    fault, message = WRONG[name]
    after_questions(fault, doubling)
    (level,) = driven(wanted(doubling, run)).levels
    assert (level.answers, level.errors) == (0, 0)
    (problem,) = level.problems
    assert re.search(message, problem)
    assert level.wrong > 0


def test_one_wrong_answer_among_many_is_enough(doubling: Doubling, run: Path) -> None:
    after_questions(lambda handler, number: number == 12 and handler.double(3), doubling)
    report = driven(wanted(doubling, run))
    assert report.levels[0].wrong == 1
    assert report.levels[0].answers > 0
    with pytest.raises(VerifyFailed, match="double: 1 wrong answers, 0 requests"):
        demand(report)


def test_answers_that_reach_the_wrong_client_are_found(doubling: Doubling, run: Path) -> None:
    previous: list[bytes] = []

    def late(handler: Handler, _: int) -> bool:
        own = handler.body
        handler.body = previous[-1] if previous else own
        previous[:] = [own]
        return False

    after_questions(late, doubling)
    assert driven(wanted(doubling, run)).levels[0].wrong > 0


def test_a_server_that_dies_leaves_what_was_measured(doubling: Doubling, run: Path) -> None:
    def dies(handler: Handler, number: int) -> bool:
        doubling.stop()
        return closes(handler, number)

    events = load(wanted(doubling, run, "1,2,4,8"))
    for event in events:
        if isinstance(event, StepProgress) and event.text == "concurrency 2":
            break
    doubling.misbehave = dies
    report = the_rest(events)
    assert report.levels[0].clean
    assert report.levels[0].answers > 0
    assert report.levels[-1].dead
    assert report.untried
    assert "connection refused" in report.levels[-1].problems
    with pytest.raises(VerifyFailed, match=r"rightly any more: concurrency (\d, )*8 was not tried"):
        demand(report)


def test_a_run_that_is_given_up_leaves_no_client(doubling: Doubling, run: Path) -> None:
    events = load(wanted(doubling, run, seconds=30.0))
    for event in events:
        if event.to_json()["event"] == "step-progress":
            break
    events.close()
    assert not [thread for thread in threading.enumerate() if type(thread).__name__ == "_Client"]


def test_the_server_must_answer_as_recorded_before_there_is_load(doubling: Doubling, run: Path) -> None:
    doubling.misbehave = lambda handler, _: handler.double(3)
    with pytest.raises(
        VerifyFailed, match=r"recorded request 0, sent alone: output 'y' is off by .*\nis another model"
    ):
        driven(wanted(doubling, run))
    doubling.misbehave = lambda handler, _: handler.send(b"", 500)
    with pytest.raises(VerifyFailed, match="a request sent alone failed: status 500"):
        driven(wanted(doubling, run))


def test_a_server_that_drips_is_given_up_before_there_is_load(doubling: Doubling, run: Path) -> None:
    doubling.misbehave = drips
    with pytest.raises(VerifyFailed, match=r"a request sent alone failed: no answer within 0\.6 s"):
        driven(wanted(doubling, run, timeout=0.6))


def test_datasets_are_sent_and_nan_is_refused(doubling: Doubling, tmp_path: Path, samples: np.ndarray) -> None:
    np.savez(tmp_path / "data.npz", x=samples)
    request = wanted(doubling, None, data=tmp_path / "data.npz", model="double", batch=4)
    report = driven(request)
    demand(report)
    assert report.requests == 1  # the last two samples are too few
    doubling.misbehave = lambda handler, _: handler.double(float("nan"))
    with pytest.raises(VerifyFailed, match="request 0, sent alone: output 'y' holds NaN"):
        driven(request)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([{"name": "z", "datatype": "FP32", "shape": [-1, 2]}], r"'double' takes 'z', the samples have 'x'"),
        ([{"name": "x", "datatype": "FP64", "shape": [-1, 2]}], r"takes 'x' FP64 \[-1, 2\], the samples have FP32"),
        ([{"name": "x", "datatype": "FP32", "shape": [-1, 3]}], r"takes 'x' FP32 \[-1, 3\], the samples have FP32 \[1"),
        ([{"name": "x", "datatype": "FP32"}], "describes model 'double' otherwise than the protocol says"),
        ("text", "describes model 'double' otherwise than the protocol says"),
    ],
)  # fmt: skip
def test_samples_must_fit_the_model(inputs: object, message: str, doubling: Doubling, run: Path) -> None:
    doubling.metadata["inputs"] = inputs
    with pytest.raises(UsageError, match=message):
        driven(wanted(doubling, run))


def test_a_server_may_say_nothing_of_its_inputs(doubling: Doubling, run: Path, tmp_path: Path) -> None:
    doubling.metadata = {"name": "double"}
    report = driven(wanted(doubling, run))
    assert report.requests == 2  # as recorded: what may be cut is unknown
    demand(report)
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 2), np.float32))
    with pytest.raises(UsageError, match="the server does not tell what 'double' takes"):
        driven(wanted(doubling, None, data=tmp_path / "data.npz", model="double"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "other"}, "tells nothing about model 'other': status 404: no such model"),
        ({"batch": 6}, "no request holds 6 samples"),
        ({"run": None, "model": "double"}, "there is nothing to send"),
        ({"run": None}, "which model should be asked"),
        ({"protocol": "grpc", "tensors": "json"}, "gRPC has no JSON tensors"),
    ],
)
def test_what_was_asked_for_must_make_sense(
    changes: dict[str, object], message: str, doubling: Doubling, run: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        driven(wanted(doubling, **{"run": run, **changes}))  # type: ignore[arg-type]  # the fields of a Load


def test_the_run_names_the_model_if_it_has_one(doubling: Doubling, run: Path, tmp_path: Path) -> None:
    (run / "golden" / "double.npz").rename(run / "golden" / "other.npz")
    assert driven(wanted(doubling, run, model="double")).model == "double"
    (run / "golden" / "second.npz").touch()
    with pytest.raises(UsageError, match="holds requests for 2 models\ngive --model: other, second"):
        driven(wanted(doubling, run))
    with pytest.raises(UsageError, match="holds requests for 0 models"):
        driven(wanted(doubling, tmp_path))
