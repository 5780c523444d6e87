"""`ranges: auto`: never worse for the outputs than one method for all, and named tensor by tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.core import interface as interfaces
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.passes import Host, Work
from optkit.passes import ranging
from optkit.passes.onnx_step import read_model
from optkit.passes.output_error import OutputError
from optkit.passes.quantize import Quantize
from optkit.passes.ranging import best_ranges
from optkit.passes.selecting import selection
from optkit.passes.writers import Data, StaticWriter
from optkit.quant.prepare import prepare
from optkit.quant.ranges import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Dataset = Callable[[Mapping[str, NDArray[Any]]], Path]

AVX2 = Host(frozenset({"avx2"}), "")


def heavy_tailed(folder: Path) -> Path:
    """Writes two convolutions, of which only the second's input is heavy-tailed."""
    folder.mkdir()
    random = np.random.default_rng(0)
    first, second = random.standard_normal((6, 3, 3, 3)), random.standard_normal((4, 6, 1, 1))
    first[:5] /= 40  # one channel is forty times as large as the others, and hardly read
    second[:, 5] /= 400
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["c"], "first"),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "w1"], ["y"], "second"),
    ]
    tensors = [numpy_helper.from_array(w.astype(np.float32), f"w{i}") for i, w in enumerate((first, second))]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4, 6, 6]),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    x, y = Tensor("x", "float32", ("batch", 3, 8, 8)), Tensor("y", "float32", ("batch", 4, 6, 6))
    interfaces.write(folder, Interface((x,), (y,), {"batch": Dim(1, 4, 8)}))
    return folder


def xs() -> dict[str, NDArray[Any]]:
    return {"x": np.random.default_rng(1).standard_normal((32, 3, 8, 8)).astype(np.float32)}


def options(**others: Any) -> Quantize:  # noqa: ANN401  # any option
    plain = Quantize(equalize=False, smooth=False, bias_correction=False, **others)
    return plain.resolve("onnxruntime-cpu", AVX2)


def test_the_outputs_are_at_least_as_close_as_with_one_method(
    tmp_path: Path, works: Callable[[], Work], dataset: Dataset
) -> None:
    inputs = {"model": heavy_tailed(tmp_path / "model"), "calibration": dataset(xs())}
    ratios = {}
    for method in (*METHODS, "auto"):
        work = works()
        options(ranges=method).run(inputs, work)
        ratios[method] = work.notes["quality"]["y"]["sqnr_db"]
    # Ranges are chosen on the first batches and without the runtime's optimiser, hence the margin.
    assert ratios["auto"] >= max(ratios[method] for method in METHODS) - 0.5
    assert ratios["auto"] > ratios["minmax"] + 0.5
    notes = {note["tensor"]: note["method"] for note in work.notes["ranges"]}
    assert notes.keys() >= {"x", "r"}
    assert set(notes.values()) <= set(METHODS)
    assert work.notes["auto_ranges"]["runs"] <= ranging.MOST_RUNS + len(METHODS)


def test_trying_scales_in_one_session_gives_what_writing_them_gives(
    tmp_path: Path, work: Work, dataset: Dataset
) -> None:
    inputs = {"model": heavy_tailed(tmp_path / "model"), "calibration": dataset(xs())}
    do = options(ranges="auto")
    writer, errors = _writer(do, inputs, work)
    for floats in (frozenset[str](), frozenset({"first"}), frozenset({"second"})):
        chosen = best_ranges(writer, floats, errors)
        written = replace(writer, ranges=chosen.ranges).draft(floats)
        assert errors.of_model(written) == pytest.approx(chosen.error, rel=1e-4)


def _writer(do: Quantize, inputs: Mapping[str, Path], work: Work) -> tuple[StaticWriter, OutputError]:
    from optkit.passes.observing import Observation
    from optkit.passes.ranging import with_ranges
    from optkit.quant.engine import Format
    from optkit.quant.profiles import profile_named

    model, interface = read_model(inputs["model"])
    model, data = prepare(model), Data(inputs, interface, searches=False)
    profile = profile_named("onnxruntime-cpu")
    seen = Observation(do, profile, data.parts, work).of(model, ())
    form = Format(per_channel=True, reduce_range=True)
    writer = with_ranges(StaticWriter(do, model, profile, form, seen, data.feeds, work))
    return writer, OutputError(model, data.feeds(), work.scratch / "errors")


def test_where_all_methods_agree_nothing_is_tried(tmp_path: Path, works: Callable[[], Work], dataset: Dataset) -> None:
    model = heavy_tailed(tmp_path / "model")
    signs = {"x": np.sign(xs()["x"])}
    work = works()
    options(ranges="auto", ops=("Conv",), keep=("second",)).run({"model": model, "calibration": dataset(signs)}, work)
    notes = {note["tensor"]: note for note in work.notes["ranges"]}
    assert abs(notes["x"]["low"]) == pytest.approx(1, abs=0.01)
    ends = notes["x"]["histogram"]
    assert (len(ends), ends[0] + ends[-1], sum(ends)) == (64, signs["x"].size, signs["x"].size)
    assert notes["x"]["sqnr_db"] > 40


def test_a_selection_names_who_keeps_a_node() -> None:
    import onnx_ir as ir

    chosen = selection(Quantize(ops=("Gemm",), keep=("*head*",)), frozenset({"loud"}))
    said = {name: chosen.reason(ir.node(op, [], name=name)) for name, op in (
        ("loud", "MatMul"), ("a/head/b", "MatMul"), ("head_matmul", "MatMul"), ("c", "Conv"), ("d", "MatMul"),
        ("e", "Add"),
    )}  # fmt: skip
    assert said == {
        "loud": "the budget", "a/head/b": "keep: *head*", "head_matmul": "keep: *head*", "c": "ops: MatMul", "d": "",
        "e": "",
    }  # fmt: skip
