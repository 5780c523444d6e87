from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from optkit.core.errors import StepFailed
from optkit.graph.save import to_proto
from optkit.graph.simplify import third_party
from optkit.graph.simplify.third_party import TOOLS, run_tool

from .conftest import parse

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "(float[2] x) => (float[2] y) { a = Add(u, u) b = Identity(x) y = Mul(a, b) }"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.onnx"
    path.write_bytes(to_proto(parse(TEXT, u=np.array([1, 2], np.float32))).SerializeToString())
    return path


@pytest.fixture
def impostor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first when onnxsim is imported."""
    folder = tmp_path / "impostor"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return folder / "onnxsim.py"


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_tools_simplify(tool: str, source: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"{tool} is an extra")
    run_tool(tool, source, tmp_path / "out.onnx", 1 << 20)
    assert [node.op_type for node in onnx.load(tmp_path / "out.onnx").graph.node] == ["Mul"]


FAULTS = {
    "raises": ("raise RuntimeError('at /home/somebody/file.cc: no')", "RuntimeError: at file.cc: no"),
    "dies": ("import os; os.abort()", "it died of SIGABRT"),
    "exits": ("import os; os._exit(3)", "it failed and did not say why"),
    "returns nonsense": ("return None, False", "AttributeError"),
}


@pytest.mark.parametrize(("body", "said"), FAULTS.values(), ids=FAULTS)
def test_whatever_a_tool_does_is_one_sentence(
    body: str, said: str, source: Path, impostor: Path, tmp_path: Path
) -> None:
    impostor.write_text(f"def simplify(model, **options):\n    {body}\n")
    with pytest.raises(StepFailed, match=said) as caught:
        run_tool("onnxsim", source, tmp_path / "out.onnx", 1 << 20)
    assert "\n" not in caught.value.message


def test_a_tool_that_hangs_is_given_up(
    source: Path, impostor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impostor.write_text("def simplify(model, **options):\n    while True: pass\n")
    monkeypatch.setattr(third_party, "SECONDS", 2)
    with pytest.raises(StepFailed, match="it took longer than 2 s"):
        run_tool("onnxsim", source, tmp_path / "out.onnx", 1 << 20)
