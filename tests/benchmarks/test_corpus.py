from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from types import ModuleType

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import corpus

    return corpus


@pytest.fixture
def committed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((BENCHMARKS / "results" / "corpus.json").read_text())["corpora"]
    return found


@pytest.mark.heavy
def test_no_model_that_came_out_equal_is_lost(corpus: ModuleType, committed: dict[str, Any]) -> None:
    before = committed[corpus.SAMPLED]
    cases = list(corpus.wheel_cases())[:: corpus.SAMPLE]
    outcomes = [corpus.judge(case) for case in cases]
    found = corpus.counts(outcomes)
    assert [each for each in outcomes if each.state in {"different", "failed"}] == []
    assert corpus.losses(committed, {corpus.SAMPLED: found}) == []
    assert found["refused"] <= before["refused"]


def test_counts_may_only_grow(corpus: ModuleType, committed: dict[str, Any]) -> None:
    def with_counts(**changes: int) -> dict[str, Any]:
        return {**committed, "packages": {**committed["packages"], **changes}}

    equal = committed["packages"]["equal"]
    assert corpus.losses(committed, committed) == []
    assert corpus.losses(committed, with_counts(equal=equal + 1)) == []
    assert corpus.losses(committed, with_counts(equal=equal - 1)) == [f"packages: equal was {equal} and is {equal - 1}"]
    assert corpus.losses(committed, with_counts(failed=1)) == ["packages: 1 failed"]


def test_the_committed_counts_hold_no_model_that_changed(committed: dict[str, Any]) -> None:
    for counts in committed.values():
        assert counts["different"] == counts["failed"] == 0
        assert counts["equal"] + counts["random"] + counts["refused"] == counts["run by ONNX Runtime"]
        assert counts["nodes"][1] <= counts["nodes"][0]


def test_a_change_of_values_would_be_seen(corpus: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in corpus.wheel_cases() if case.name == "node/test_add")
    assert corpus.judge(case).state == "equal"
    monkeypatch.setattr(corpus, "take_through", one_more(corpus))
    assert corpus.judge(case).state == "different"


def one_more(corpus: ModuleType) -> Any:  # noqa: ANN401  # a function of the module
    """Returns what takes a model through the passes and then adds one to what it computes."""
    real = corpus.take_through

    def through(source: Path, folder: Path, tools: tuple[str, ...]) -> tuple[Path, int]:
        out, before = real(source, folder, tools)
        model = onnx.load(out / "model.onnx")
        last = model.graph.node[-1]
        name, last.output[0] = last.output[0], "almost"
        model.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), "one"))
        model.graph.node.append(helper.make_node("Add", ["almost", "one"], [name]))
        onnx.save(model, out / "model.onnx")
        return out, before

    return through
