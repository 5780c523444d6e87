"""Simplifiers of others, each run in a process of its own: they may raise, crash, hang or print without harm.

As a module, `python -m optkit.graph.simplify.third_party TOOL IN OUT LIMIT PARENT_PID` is that process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.core.errors import StepFailed
from optkit.core.lifetime import die_with_parent
from optkit.core.messages import short_message

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

SECONDS = 120
"""After this long a tool is given up."""


def run_tool(tool: str, source: Path, out: Path, limit: int) -> None:
    """Lets a tool simplify the ONNX file `source`, with its weights inside, and writes `out`.

    Args:
        tool: One of `TOOLS`.
        source: The file.
        out: The file to write.
        limit: Largest constant to store, in bytes.

    Raises:
        StepFailed: The tool raised, crashed or took too long; says which, in one line.
    """
    command = [sys.executable, "-P", "-m", __name__, tool, str(source), str(out), str(limit), str(os.getpid())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        raise StepFailed(f"it took longer than {SECONDS} s") from None
    if done.returncode < 0:
        raise StepFailed(f"it died of {signal.Signals(-done.returncode).name}")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it failed and did not say why"]
        raise StepFailed(lines[-1][:300])


def _onnxsim(model: onnx.ModelProto, limit: int) -> onnx.ModelProto:
    import onnxsim

    return onnxsim.simplify(model, tensor_size_threshold=f"{limit}B", certify=False)[0]  # type: ignore[no-any-return]


def _onnxslim(model: onnx.ModelProto, limit: int) -> onnx.ModelProto:
    import onnxslim

    return onnxslim.slim(model, size_threshold=limit)  # type: ignore[no-any-return]


TOOLS: dict[str, Callable[[onnx.ModelProto, int], onnx.ModelProto]] = {"onnxsim": _onnxsim, "onnxslim": _onnxslim}


def main() -> None:
    """Runs the tool that the command line names."""
    tool, source, out, limit, parent = sys.argv[1:]
    die_with_parent(int(parent))
    # onnxsim imports torch if it can, for features that are not used here: that takes longer than the work.
    sys.modules["torch"] = None  # type: ignore[assignment]  # what importlib documents to make an import fail
    import onnx

    try:
        simple = TOOLS[tool](onnx.load(source), int(limit))
    except Exception as error:  # noqa: BLE001  # a third party may raise anything
        sys.exit(f"{type(error).__name__}: {short_message(error)}")
    Path(out).write_bytes(simple.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
