from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.core import interface as interfaces
from optkit.core.errors import BudgetMissed, UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.keys import Environment, key_parts
from optkit.core.passes import Host, Work
from optkit.core.recipe import Step
from optkit.passes import deciding, timing
from optkit.passes.quantize import Budget, Quantize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]
    Dataset = Callable[[Arrays], Path]


@pytest.fixture(autouse=True)
def _little_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "_LEAST_SECONDS", 0.5)
    monkeypatch.setattr(timing, "_PRECISION", 0.5)


AVX2 = Host(frozenset({"avx2"}), "this machine")
WIDTH = 64


def model(folder: Path) -> Path:
    """Writes a convolution, a mean and two products."""
    folder.mkdir()
    random = np.random.default_rng(0)
    shapes = {"k": (8, 1, 3, 3), "w": (8, WIDTH), "v": (WIDTH, 10)}
    tensors = [numpy_helper.from_array(random.standard_normal(s).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], "conv"),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["m"], "mean"),
        helper.make_node("Flatten", ["m"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "w"], ["h"], "up"),
        helper.make_node("Relu", ["h"], ["a"], "relu2"),
        helper.make_node("MatMul", ["a", "v"], ["y"], "down"),
    ]
    shape: list[str | int] = ["batch", 1, 10, 10]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10]),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    x, y = Tensor("x", "float32", ("batch", 1, 10, 10)), Tensor("y", "float32", ("batch", 10))
    interfaces.write(folder, Interface((x,), (y,), {"batch": Dim(1, 2, 4)}))
    return folder


def xs() -> dict[str, NDArray[Any]]:
    return {"x": np.random.default_rng(1).standard_normal((48, 1, 10, 10)).astype(np.float32)}


def auto(**options: Any) -> Quantize:  # noqa: ANN401  # any option
    return Quantize(method="auto", **options).resolve("onnxruntime-cpu", AVX2)


def test_the_fastest_that_is_good_enough_is_kept(tmp_path: Path, works: Callable[[], Work], dataset: Dataset) -> None:
    inputs = {"model": model(tmp_path / "model"), "calibration": dataset(xs())}
    work = works()
    auto(seconds=4).run(inputs, work)
    note = work.notes["auto"]
    tried = {each["name"]: each for each in note["candidates"]}
    assert {"static", "dynamic", "static products", "static convolutions"} <= tried.keys()
    fit = {name: each["speedup"][0] for name, each in tried.items() if not each["left_out"]}
    assert note["chosen"] == max(fit, key=fit.__getitem__)
    assert all(tried[name]["quality"]["cosine"] >= note["least_cosine"] for name in fit)
    assert (work.out / "model.onnx").is_file()
    assert json.dumps(work.notes)  # what a record keeps


def test_what_is_not_good_enough_is_not_kept_however_fast(
    tmp_path: Path, works: Callable[[], Work], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "LEAST_COSINE", 1.01)
    with pytest.raises(BudgetMissed, match=r"(?s)no way to quantize is good enough:.*static: the cosine .* less than"):
        auto(seconds=4).run({"model": model(tmp_path / "model"), "calibration": dataset(xs())}, works())


def test_a_budget_decides_what_is_good_enough(tmp_path: Path, works: Callable[[], Work], dataset: Dataset) -> None:
    inputs = {"model": model(tmp_path / "model"), "calibration": dataset(xs())}
    same = {"same": Budget(0.05, {"kind": "cosine", "output": "y"})}
    work = works()
    auto(seconds=4, budget=same).run(inputs, work)
    note = work.notes["auto"]
    assert note["least_cosine"] is None
    chosen = next(each for each in note["candidates"] if each["name"] == note["chosen"])
    assert chosen["quality"]["same"] <= 0.05
    none = {"same": Budget(0.0, {"kind": "cosine", "output": "y"})}
    with pytest.raises(BudgetMissed):
        auto(seconds=4, budget=none).run(inputs, works())


def test_little_time_leaves_candidates_out_and_says_so(
    tmp_path: Path, works: Callable[[], Work], dataset: Dataset
) -> None:
    work = works()
    auto(seconds=1e-3).run({"model": model(tmp_path / "model"), "calibration": dataset(xs())}, work)
    left_out = {each["name"]: each["left_out"] for each in work.notes["auto"]["candidates"]}
    assert work.notes["auto"]["chosen"] == "static"
    assert left_out["dynamic"] == "the time was over"


def test_what_was_made_before_a_kill_is_used(
    tmp_path: Path, work: Work, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"model": model(tmp_path / "model"), "calibration": dataset(xs())}
    monkeypatch.setattr(deciding, "_time", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        auto(seconds=4).run(inputs, work)
    made = {path: path.stat().st_mtime_ns for path in work.scratch.rglob("auto/*/out/model.onnx")}
    assert made
    monkeypatch.undo()
    auto(seconds=4).run(inputs, work)
    assert {path: path.stat().st_mtime_ns for path in made if path.exists()}.items() <= made.items()


def test_only_what_can_be_timed_can_be_decided(tmp_path: Path, works: Callable[[], Work], dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="tensorrt cannot be timed here"):
        auto(target="tensorrt").run({"model": model(tmp_path / "model"), "calibration": dataset(xs())}, works())


def test_the_decision_is_cached_for_this_machine_class_only() -> None:
    environment = Environment(AVX2, "code")
    for step, device in ((auto(), "this machine"), (Quantize(), None)):
        assert key_parts(Step("quantize", step, {}), {}, environment).get("device") == device
