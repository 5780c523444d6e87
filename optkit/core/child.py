"""Runs one pass in a process of its own: `python -m optkit.core.child JOB_FOLDER PROGRESS_FD PARENT_PID`.

The job folder holds `job.json`; the child leaves `result.json` there. Whatever the pass prints goes to the log that
the parent opened as stdout and stderr.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.core.errors import ACROSS_PROCESSES, OptkitError
from optkit.core.lifetime import die_with_parent
from optkit.core.passes import Work

if TYPE_CHECKING:
    from optkit.core.passes import Pass


def main() -> None:
    """Runs the job and writes its result."""
    die_with_parent(int(sys.argv[3]))
    # The parent decides what an interrupt means; the terminal sends it to the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder, progress = Path(sys.argv[1]), int(sys.argv[2])
    job = json.loads((folder / "job.json").read_text())
    result = _run(job, progress)
    draft = folder / "result.json.part"
    draft.write_text(json.dumps(result))
    draft.replace(folder / "result.json")  # on a full disk there is no result, rather than half of one


def _run(job: dict[str, Any], progress: int) -> dict[str, Any]:
    start = time.perf_counter()
    work = Work(Path(job["out"]), Path(job["scratch"]), on_progress=_reporter(progress), tools=Path(job["tools"]))
    try:
        do: Pass = pickle.loads(bytes.fromhex(job["pass"]))  # noqa: S301  # the parent's own object, as multiprocessing passes it
        do.run({role: Path(path) for role, path in job["inputs"].items()}, work)
    except OptkitError as error:
        return _failure(error, error.message, error.hint)
    except MemoryError as error:
        return _failure(error, "ran out of memory", "")
    except OSError as error:
        return _failure(error, f"{error.strerror or error}: {error.filename or ''}".removesuffix(": "), "")
    except Exception as error:  # noqa: BLE001  # a pass runs users' and third parties' code: any of it may raise
        first = str(error).strip().partition("\n")[0]
        return _failure(error, f"{type(error).__name__}: {first}".removesuffix(": "), "")
    record = {"notes": work.notes, "seconds": time.perf_counter() - start, "peak_rss_bytes": _peak_rss()}
    return {"record": record}


def _failure(error: BaseException, message: str, hint: str) -> dict[str, Any]:
    traceback.print_exception(error)  # into the log, for the repro folder
    names = [kind.__name__ for kind in type(error).__mro__ if kind.__name__ in ACROSS_PROCESSES]
    return {"error": [*names, "StepFailed"][0], "message": message, "hint": hint}


def _reporter(descriptor: int) -> Any:  # noqa: ANN401  # Callable[[float, str], None], only for Work
    def report(fraction: float, text: str) -> None:
        os.write(descriptor, json.dumps([fraction, text]).encode() + b"\n")

    return report


def _peak_rss() -> int:
    """Returns the most bytes that this process, or one that it started and waited for, held at once."""
    return max(resource.getrusage(whose).ru_maxrss for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * 1024


if __name__ == "__main__":
    main()
