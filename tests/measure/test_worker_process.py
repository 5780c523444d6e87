from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from optkit.core.errors import StepFailed
from optkit.measure import worker_process
from optkit.measure.latency_report import Subject
from optkit.measure.worker_process import WorkerProcess


def test_a_worker_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "SILENCE", 0.2)
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
        tempfile.TemporaryFile() as log,
    ):
        worker = WorkerProcess(Subject("slow", "onnxruntime", Path("model"), 1), process, log)
        with pytest.raises(StepFailed, match="'slow' said nothing for"):
            worker.ask("load")
        process.kill()
