"""Against a real tritonserver, over both protocols and with both kinds of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import VerifyFailed
from optkit.workflow.loading import Load, demand, load

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.workflow.loading import LoadReport
    from tests.serving.conftest import Running, Zoo

pytestmark = pytest.mark.heavy


def driven(running: Running, run: Path, kind: str, protocol: str, tensors: str) -> LoadReport:
    request = Load(
        running.ports[protocol], protocol, tensors, kind, run, None, None, 1, "1,3", 0.2, 5.0, allow_remote=False
    )
    events = load(request)
    while True:
        try:
            next(events)
        except StopIteration as stop:
            report: LoadReport = stop.value
            return report


CASES = [
    ("cnn", 7, "http", "auto"),
    ("cnn", 7, "grpc", "auto"),
    ("text", 6, "http", "json"),
    ("flags", 2, "http", "auto"),  # the server has one more axis
    ("scaled", 2, "grpc", "auto"),  # nothing to cut
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_answer_is_right(case: tuple[str, int, str, str], running: Running, zoo: Zoo, tmp_path: Path) -> None:
    kind, requests, protocol, tensors = case
    record(kind, running, zoo, tmp_path)
    report = driven(running, tmp_path, kind, protocol, tensors)
    demand(report)
    assert report.tensors == ("json" if tensors == "json" else "binary")
    assert report.requests == requests
    assert all(level.answers > 0 for level in report.levels)


def test_every_type_travels_as_bytes_and_not_as_json(running: Running, zoo: Zoo, tmp_path: Path) -> None:
    record("every_dtype", running, zoo, tmp_path)
    demand(driven(running, tmp_path, "every_dtype", "http", "binary"))
    with pytest.raises(VerifyFailed, match=r"status 400: .*FP16 data via JSON is not supported"):
        driven(running, tmp_path, "every_dtype", "http", "json")


def record(kind: str, running: Running, zoo: Zoo, run: Path) -> None:
    (run / "golden").mkdir()
    zoo.golden(kind, running.artifacts / kind, run / "golden" / f"{kind}.npz")
