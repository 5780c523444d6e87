"""`optkit --help` is instant because it imports nothing that is slow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    "torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "onnxsim", "onnxslim", "numpy",
    "scipy", "pydantic", "rich", "yaml",
    "safetensors", "google.protobuf", "tritonclient", "PIL", "pandas", "pyarrow", "psutil", "transformers",
}  # fmt: skip
HELP = """
import sys
import optkit.cli
sys.argv[1:] = {arguments}
try:
    optkit.cli.main()
except SystemExit as end:
    assert not end.code, end.code
"""
CORE = ["parse", "runner", "results", "gates", "events", "store"]


def loaded_by(code: str) -> set[str]:
    """Returns the modules that a fresh interpreter has loaded after running `code`."""
    report = "\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code + report], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import optkit",
        "import optkit.cli",
        HELP.format(arguments="['--help']"),
        HELP.format(arguments="['--version']"),
        *(f"import optkit.core.{name}" for name in CORE),
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert loaded_by(code) & HEAVY == set()


@pytest.mark.parametrize("command", ["optimize", "plan", "verify", "cache"])
def test_the_help_of_a_command_loads_no_model_library(command: str) -> None:
    loaded = loaded_by(HELP.format(arguments=f"['{command}', '--help']"))
    assert loaded & {"torch", "onnx", "onnxruntime", "numpy", "pydantic", "scipy"} == set()


def test_the_check_can_fail() -> None:
    assert loaded_by("import yaml") & HEAVY == {"yaml"}
