from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from onnx import parser

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]


@pytest.fixture
def traps(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import traps

    return traps


@pytest.fixture
def committed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / "traps.json").read_text())["traps"]
    return found


def test_every_trap_is_recorded_and_optkit_falls_into_none(traps: ModuleType, committed: dict[str, Any]) -> None:
    assert set(committed) == set(traps.TRAPS)
    assert traps.caught(committed, "optkit") == len(committed) == 7


def test_the_page_has_the_table_of_the_results(traps: ModuleType, committed: dict[str, Any]) -> None:
    assert traps.section(committed) in traps.PAGE.read_text()


@pytest.mark.parametrize(
    ("body", "declared", "fault"),
    [
        ("y = Pad(x, to)", "N, 8", ""),
        ("z = Pad(x, to) y = Mul(z, two)", "N, 8", "batch 4: its values are off by 100% of their scale"),
        ("y = Identity(x)", "N, M", "batch 4: it returns [4, 5] instead of [4, 8]"),
        ("y = Pad(x, to)", "4, M", "batch 1: it declares [4, "),
        ("z = Reshape(x, twenty) w = Reshape(z, back) y = Pad(w, to)", "N, M", "batch 1: it does not run"),
    ],
)
def test_a_wrong_graph_is_recognised(body: str, declared: str, fault: str, traps: ModuleType, tmp_path: Path) -> None:
    trap = traps.Trap("PadToEight", (traps.Tensor("x", "float32", ("batch", 5)),), traps.BATCH)
    traps.write_source(trap, tmp_path / "source")
    constants = "int64[4] to = {0, 0, 0, 3}, float two = {2}, int64[1] twenty = {20}, int64[2] back = {4, 5}"
    model = parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]>'
        f"net (float[N, 5] x) => (float[{declared}] y) <{constants}> {{ {body} }}"
    )
    onnx.save(model, tmp_path / "net.onnx")
    found = traps.fault(tmp_path / "net.onnx", tmp_path / "source")
    assert found.startswith(fault) if fault else not found
