from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.core import interface as interfaces
from optkit.core.artifact import digest_file
from optkit.core.errors import BudgetMissed, StepFailed, UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.passes import Host, Work
from optkit.data.source import dataset_source, load_dataset
from optkit.graph.load import load_model
from optkit.graph.quantization_state import quantization_state
from optkit.passes import budgeting
from optkit.passes.onnx_step import open_runtime
from optkit.passes.quantize import Budget, Quantize
from optkit.passes.simplify import Simplify
from tests.passes.exports import export

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from optkit.passes.judging import Judge

    Arrays = Mapping[str, NDArray[Any]]
    Dataset = Callable[[Arrays], Path]

FIXTURES = Path(__file__).parents[1] / "fixtures" / "hard_cases"
DATA = FIXTURES.parents[2] / "calibration" / "mnist"
AVX2 = Host(frozenset({"avx2"}), "")
SAME = {"kind": "cosine", "output": "y"}
LOUD, LAYERS = 2, 6


def deep(folder: Path) -> Path:
    """Writes six layers in a row, the third of which reads channels that differ by up to 2^12."""
    folder.mkdir()
    random = np.random.default_rng(0)
    factors = (2.0 ** random.integers(-6, 7, 16)).astype(np.float32)
    tensors, nodes, value = [], [], "x"
    for index in range(LAYERS):
        weight = random.standard_normal((16, 16)).astype(np.float32) / 3
        if index == LOUD - 1:
            weight *= factors
        if index == LOUD:
            weight /= factors[:, None]
        tensors.append(numpy_helper.from_array(weight, f"w{index}"))
        nodes.append(helper.make_node("MatMul", [value, f"w{index}"], [f"p{index}"], f"layer{index}"))
        value = "y" if index == LAYERS - 1 else f"a{index}"
        nodes.append(helper.make_node("Relu" if index < LAYERS - 1 else "Identity", [f"p{index}"], [value]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 16]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    x, y = (Tensor(name, "float32", ("batch", 16)) for name in ("x", "y"))
    interfaces.write(folder, Interface((x,), (y,), {"batch": Dim(1, 4, 8)}))
    return folder


def xs(count: int = 64) -> dict[str, NDArray[Any]]:
    return {"x": np.random.default_rng(1).standard_normal((count, 16)).astype(np.float32)}


def plain(max_drop: float, **options: Any) -> Quantize:  # noqa: ANN401  # any option
    budget = {"same": Budget(max_drop, SAME)}
    wanted = Quantize(budget=budget, equalize=False, smooth=False, **options)
    return wanted.resolve("onnxruntime-cpu", AVX2)


def floats(work: Work) -> list[str]:
    return [layer["node"] for layer in work.notes["budget"]["layers"] if layer["float"]]


@pytest.mark.parametrize("method", ["static", "dynamic"])
def test_the_loud_layer_stays_float(method: str, tmp_path: Path, works: Callable[[], Work], dataset: Dataset) -> None:
    inputs = {"model": deep(tmp_path / "model"), "calibration": dataset(xs())}
    kept, lenient = works(), works()
    plain(0.01, method=method).run(inputs, kept)
    plain(1.5, method=method).run(inputs, lenient)
    note = json.loads(json.dumps(kept.notes))["budget"]  # what a record keeps
    assert len(floats(kept)) == 1
    assert floats(kept)[0].startswith(f"layer{LOUD}")
    assert note["held_out"]
    assert note["samples"] == 32
    assert note["evaluations"][0]["drops"]["same"] > 0.01
    assert len(note["evaluations"]) <= 9
    assert kept.notes["int8_nodes"]["MatMul"][0] == LAYERS - 1
    assert floats(lenient) == []
    assert len(lenient.notes["budget"]["evaluations"]) == 1


def test_the_graph_says_who_keeps_a_layer_in_float(tmp_path: Path, work: Work, dataset: Dataset) -> None:
    plain(0.01).run({"model": deep(tmp_path / "model"), "calibration": dataset(xs())}, work)
    state = quantization_state(load_model(work.out / "model.onnx"))
    reasons = {node.name: node.reason for node in state.nodes if node.precision == "float32"}
    assert reasons[f"layer{LOUD}"] == "kept in float by the budget"
    methods = {tensor.name: tensor.method for tensor in state.tensors if tensor.role == "activation"}
    assert set(methods.values()) <= {"minmax", "percentile", "mse", "kl"}


def test_the_loudest_layer_is_measured_as_such(tmp_path: Path, work: Work, dataset: Dataset) -> None:
    plain(0.01).run({"model": deep(tmp_path / "model"), "calibration": dataset(xs())}, work)
    layers = work.notes["budget"]["layers"]
    assert min(layers, key=lambda layer: layer["sqnr_db"])["node"].startswith(f"layer{LOUD}")
    assert {layer["macs"] for layer in layers} == {8 * 16 * 16}
    assert sum(layer["share"] for layer in layers) == pytest.approx(1.0)


def test_a_budget_that_nothing_holds_is_missed_plainly(tmp_path: Path, work: Work, dataset: Dataset) -> None:
    with pytest.raises(BudgetMissed, match=r"holds the budget \(same 0\).*nearest keeps \d of 6 layers.*same drops"):
        plain(0.0).run({"model": deep(tmp_path / "model"), "calibration": dataset(xs())}, work)
    assert not list(work.out.iterdir())


def test_a_search_goes_on_where_it_was_interrupted(
    tmp_path: Path, works: Callable[[], Work], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"model": deep(tmp_path / "model"), "calibration": dataset(xs())}
    whole, cut = works(), works()
    plain(0.01).run(inputs, whole)
    evaluate = budgeting.evaluate_graph
    made: list[frozenset[str]] = []
    most = 1

    def count(floats: frozenset[str], judge: Judge, folder: Path) -> dict[str, Any]:
        if len(made) == most:
            raise StepFailed("stopped")
        made.append(floats)
        return evaluate(floats, judge, folder)

    monkeypatch.setattr(budgeting, "evaluate_graph", count)
    with pytest.raises(StepFailed, match="stopped"):
        plain(0.01).run(inputs, cut)
    kept = json.loads((cut.scratch / "search.json").read_text())
    assert len(kept["evaluations"]) == 1
    assert len(kept["noises"]) == LAYERS
    most = 100
    plain(0.01).run(inputs, cut)
    assert cut.notes["budget"]["reused"] == 1
    assert len(made) == len(set(made)) == len(whole.notes["budget"]["evaluations"])
    assert (cut.out / "model.onnx").read_bytes() == (whole.out / "model.onnx").read_bytes()


def test_a_metric_must_be_defined_and_fit(tmp_path: Path, works: Callable[[], Work], dataset: Dataset) -> None:
    inputs = {"model": deep(tmp_path / "model"), "calibration": dataset(xs())}
    wrong: list[tuple[dict[str, Any] | None, str]] = [
        (None, "budget.same: which metric this is must be said"),
        ({"kind": "cosin", "output": "y"}, "budget.same: unknown metric kind 'cosin'"),
        ({"kind": "cosine"}, "is missing"),
        ({"kind": "accuracy", "output": "y"}, "budget.same: the metric on output 'y' needs labels"),
        ({"kind": "cosine", "output": "z"}, "no output z"),
    ]
    for metric, message in wrong:
        with pytest.raises(UsageError, match=message):
            Quantize(budget={"same": Budget(0.1, metric)}).resolve("onnxruntime-cpu", AVX2).run(inputs, works())


def test_half_of_the_calibration_data_is_held_out(tmp_path: Path, works: Callable[[], Work], dataset: Dataset) -> None:
    model = deep(tmp_path / "model")
    twice = {"x": np.repeat(xs(16)["x"], 2, axis=0)}
    with pytest.raises(UsageError, match="none of which can be held out"):
        plain(0.5).run({"model": model, "calibration": dataset(twice)}, works())


def test_limits_are_checked() -> None:
    for limit in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="max_drop should be a number of at least 0"):
            Budget(limit)
    with pytest.raises(ValueError, match="seconds should be a number above 0"):
        Quantize(seconds=0.0)


def test_roles_and_ranges_follow_the_options() -> None:
    assert Quantize().active_roles() == {"model", "calibration"}
    assert Quantize(method="dynamic").active_roles() == {"model"}
    for step in (plain(0.1), plain(0.1, method="dynamic"), Quantize(method="auto")):
        assert step.active_roles() == {"model", "calibration", "search"}
    assert plain(0.1).ranges == "auto"
    assert plain(0.1, ranges="kl").ranges == "kl"
    assert Quantize().resolve("onnxruntime-cpu", AVX2).ranges == "mse"


def test_operators_and_patterns_keep_nodes_in_float(
    tmp_path: Path, works: Callable[[], Work], dataset: Dataset
) -> None:
    inputs = {"model": deep(tmp_path / "model"), "calibration": dataset(xs())}
    for method in ("static", "dynamic"):
        work = works()
        Quantize(method=method, keep=("layer[01]*", "*5")).resolve("onnxruntime-cpu", AVX2).run(inputs, work)
        assert work.notes["int8_nodes"]["MatMul"][0] == 3
        nodes = onnx.load(work.out / "model.onnx").graph.node
        kept = {prop.value for node in nodes for prop in node.metadata_props if prop.key == "optkit.float"}
        assert kept == {"keep: layer[01]*", "keep: *5"}
    with pytest.raises(StepFailed, match="that `ops` and `keep` let be quantized"):
        Quantize(ops=("Conv",)).resolve("onnxruntime-cpu", AVX2).run(inputs, works())


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "in_int8"), [("unbalanced_cnn", 1), ("outlier_vit", 5)])
def test_hard_cases_hold_a_point_in_ten_evaluations_without_preparation(
    name: str, in_int8: int, tmp_path: Path, works: Callable[[], Work], folders: Callable[[Arrays], Path]
) -> None:
    build = runpy.run_path(str(FIXTURES / "build.py"))
    exported, simple, work = works(), works(), works()
    export(build[name](tmp_path / "source"), exported)
    Simplify().run({"model": exported.out}, simple)
    (batch,) = load_dataset(DATA, "calibration", 128).batches(1000)
    (judged,) = load_dataset(DATA, "train", 1000).batches(1000)
    inputs = {"model": simple.out, "calibration": folders(batch.inputs)}
    inputs["search"] = folders({**judged.inputs, "labels": np.asarray(judged.labels)})
    budget = {"top1": Budget(0.01, {"kind": "accuracy", "output": "logits"})}
    plain = Quantize(budget=budget, equalize=False, smooth=False, bias_correction=False)
    plain.resolve("onnxruntime-cpu", AVX2).run(inputs, work)
    note = work.notes["budget"]
    assert len(note["evaluations"]) + 1 <= 10  # that of the float model is one
    assert note["evaluations"][0]["drops"]["top1"] > 0.01  # all in int8 misses
    kept = next(each for each in note["evaluations"] if each["float"] == sorted(floats(work)))
    assert kept["drops"]["top1"] <= 0.01
    assert len(note["layers"]) - len(floats(work)) >= in_int8
    (test,) = load_dataset(DATA, "test").batches(1000)
    scores = [
        (open_runtime("onnxruntime", folder).run(test.inputs)["logits"].argmax(axis=1) == test.labels).mean()
        for folder in (simple.out, work.out)
    ]
    assert scores[1] >= scores[0] - 0.01


@pytest.fixture
def folders(tmp_path: Path) -> Callable[[Arrays], Path]:
    """Returns arrays by name → a dataset artifact of its own."""
    numbers = iter(range(100))

    def make(arrays: Arrays) -> Path:
        number = next(numbers)
        file, folder = tmp_path / f"data{number}.npz", tmp_path / f"data{number}"
        np.savez(file, **arrays)  # type: ignore[arg-type]  # the stub takes a keyword of its own for one
        made = dataset_source(file, None, None, digest_file)
        for each, path in made.files.items():
            (folder / each).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / each)
        for each, content in made.documents.items():
            (folder / each).write_bytes(content)
        return folder

    return make
