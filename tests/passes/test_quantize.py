from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from optkit.core import interface as interfaces
from optkit.core.errors import StepFailed, UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.passes import Host, Work
from optkit.passes.quantize import Quantize

Arrays = Mapping[str, NDArray[Any]]
Dataset = Callable[[Arrays], Path]
Samples = Callable[..., dict[str, NDArray[Any]]]
Exported = Callable[[str], Path]
heavy = pytest.mark.heavy


def small(folder: Path, *, opset: int = 17, root: bool = False) -> Path:
    """Writes relu(x @ w) @ v, or with `root` sqrt(x) in front, as a third party would at an old operator set."""
    folder.mkdir()
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.standard_normal((16, 32)).astype(np.float32), "w"),
        numpy_helper.from_array(random.standard_normal((32, 8)).astype(np.float32), "v"),
    ]
    first = [helper.make_node("Sqrt", ["x"], ["data"])] if root else [helper.make_node("Identity", ["x"], ["data"])]
    nodes = [
        *first,
        helper.make_node("MatMul", ["data", "w"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "v"], ["y"]),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 16]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8]),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=6)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    interface = Interface(
        (Tensor("x", "float32", ("batch", 16)),), (Tensor("y", "float32", ("batch", 8)),), {"batch": Dim(1, 4, 8)}
    )
    interfaces.write(folder, interface)
    return folder


def parallel(folder: Path) -> Path:
    """Writes x @ w * x @ v."""
    folder.mkdir()
    body = "p = MatMul(x, w) q = MatMul(x, v) y = Mul(p, q)"
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[batch,6,16] x) => (float[batch,6,8] y) {{ {body} }}'
    proto, random = onnx.parser.parse_model(text), np.random.default_rng(0)
    for name in ("w", "v"):
        proto.graph.initializer.append(
            numpy_helper.from_array(random.standard_normal((16, 8)).astype(np.float32), name)
        )
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    ends = (Tensor("x", "float32", ("batch", 6, 16)),), (Tensor("y", "float32", ("batch", 6, 8)),)
    interfaces.write(folder, Interface(*ends, {"batch": Dim(1, 4, 8)}))
    return folder


def xs(count: int = 32, width: int = 16) -> dict[str, NDArray[Any]]:
    return {"x": np.random.default_rng(1).standard_normal((count, width)).astype(np.float32)}


def initializers(folder: Path) -> dict[str, NDArray[Any]]:
    return {i.name: numpy_helper.to_array(i) for i in onnx.load(folder / "model.onnx").graph.initializer}


@heavy
@pytest.mark.parametrize("ranges", ["minmax", "percentile", "mse", "kl"])
def test_cnn_runs_in_int8_and_stays_close(
    ranges: Literal["minmax", "percentile", "mse", "kl"],
    exported: Exported,
    dataset: Dataset,
    samples: Samples,
    work: Work,
) -> None:
    folder, data = exported("cnn"), dataset(samples("cnn", 24))
    Quantize(ranges=ranges, reduce_range=True).run({"model": folder, "calibration": data}, work)
    assert work.notes["int8_nodes"] == {"Add": [1, 1], "Conv": [2, 2], "Gemm": [1, 1]}
    assert work.notes["quality"]["logits"]["sqnr_db"] > 25
    layers = {note["tensor"]: note for note in work.notes["layers"]}
    assert layers["logits"]["sqnr_db"] == pytest.approx(work.notes["quality"]["logits"]["sqnr_db"], abs=1.0)
    assert {"Conv", "Gemm"} <= {note["operator"] for note in layers.values()}
    assert interfaces.read(work.out) == interfaces.read(folder)
    assert (work.out / "model.onnx").stat().st_size < 0.6 * (folder / "model.onnx").stat().st_size


@heavy
def test_transformer_with_integers_and_two_outputs(
    exported: Exported, dataset: Dataset, samples: Samples, work: Work
) -> None:
    folder = exported("encoder")
    data = dataset(samples("encoder", 24))
    Quantize(reduce_range=True).run({"model": folder, "calibration": data}, work)
    counts = work.notes["int8_nodes"]
    assert counts["MatMul"][0] + counts["Gemm"][0] >= 3
    assert min(error["sqnr_db"] for error in work.notes["quality"].values()) > 20


@heavy
def test_recurrent_model_static_and_dynamic(
    exported: Exported, dataset: Dataset, samples: Samples, works: Callable[[], Work]
) -> None:
    static, dynamic = works(), works()
    data = dataset(samples("recurrent", 16))
    Quantize(reduce_range=True).run({"model": exported("recurrent"), "calibration": data}, static)
    Quantize(method="dynamic", reduce_range=True).run({"model": exported("recurrent")}, dynamic)
    assert static.notes["int8_nodes"]["Gemm"] == [1, 1]
    assert dynamic.notes["int8_nodes"]["MatMul"] == [1, 1]
    for work in (static, dynamic):
        assert work.notes["quality"]["logits"]["sqnr_db"] > 25


@heavy
@pytest.mark.parametrize("method", ["static", "dynamic"])
def test_products_of_one_tensor_are_merged_if_wanted(
    method: Literal["static", "dynamic"], tmp_path: Path, works: Callable[[], Work], dataset: Dataset
) -> None:
    random = np.random.default_rng(2)
    arrays = {"x": random.standard_normal((16, 6, 16)).astype(np.float32)}
    inputs, apart, merged = {"model": parallel(tmp_path / "model"), "calibration": dataset(arrays)}, works(), works()
    Quantize(method=method, reduce_range=True).run(inputs, apart)
    Quantize(method=method, reduce_range=True, merge=True).run(inputs, merged)
    assert "merged" not in apart.notes
    assert [len(group) for group in merged.notes["merged"]] == [2]
    assert [work.notes["int8_nodes"]["MatMul"] for work in (apart, merged)] == [[2, 2], [1, 1]]
    assert [work.notes["quality"]["y"]["sqnr_db"] > 25 for work in (apart, merged)] == [True, True]


@heavy
def test_openvino_runs_the_convolutions_in_int8(
    exported: Exported, works: Callable[[], Work], dataset: Dataset, samples: Samples
) -> None:
    pytest.importorskip("openvino")
    inputs, static, dynamic = {"model": exported("cnn"), "calibration": dataset(samples("cnn", 16))}, works(), works()
    Quantize(target="openvino-cpu", reduce_range=True).run(inputs, static)
    int8, total = static.notes["int8_nodes"]["Conv"]
    assert int8 == total == 2
    with pytest.raises(StepFailed, match=r"no node runs in int8: .* OpenVINO has no int8 kernel for them"):
        Quantize(target="openvino-cpu", method="dynamic").run(inputs, dynamic)


def test_without_openvino_nothing_is_counted(
    tmp_path: Path, work: Work, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    inputs = {"model": small(tmp_path / "model"), "calibration": dataset(xs())}
    Quantize(target="openvino-cpu").run(inputs, work)
    assert work.notes["int8_nodes_unknown"] == "the runtime openvino is not installed"
    assert "int8_nodes" not in work.notes


def test_transposed_convolution_stays_float_on_the_cpu(
    exported: Exported, dataset: Dataset, samples: Samples, work: Work
) -> None:
    data = dataset(samples("upsampler", 16))
    Quantize(reduce_range=True).run({"model": exported("upsampler"), "calibration": data}, work)
    assert work.notes["int8_nodes"] == {"Conv": [2, 2], "ConvTranspose": [0, 1]}
    assert work.notes["quality"]["image"]["sqnr_db"] > 25


@heavy
@pytest.mark.parametrize("target", ["tensorrt", "tensorrt-rtx"])
def test_tensorrt_graphs_are_symmetric_without_bias(
    target: str, exported: Exported, dataset: Dataset, samples: Samples, work: Work
) -> None:
    data = dataset(samples("upsampler", 16))
    Quantize(target=target).run({"model": exported("upsampler"), "calibration": data}, work)
    arrays = initializers(work.out)
    assert {array.dtype for array in arrays.values()} <= {np.dtype(t) for t in ("float32", "int8", "int64")}
    zeros = [array for name, array in arrays.items() if name.endswith("zero_point")]
    assert zeros
    assert not any(array.any() for array in zeros)
    scales = {name: array.shape for name, array in arrays.items() if name.endswith("weight_scale")}
    assert scales["up.weight_scale"] == (16,)  # out channels: axis 1 of a transposed convolution


def test_varying_lengths_are_calibrated(tmp_path: Path, work: Work, dataset: Dataset) -> None:
    folder = small(tmp_path / "model")
    Quantize(ranges="kl", reduce_range=True).run({"model": folder, "calibration": dataset(xs(9))}, work)
    assert work.notes["int8_nodes"] == {"MatMul": [2, 2]}


def test_weights_are_int8_per_channel(tmp_path: Path, works: Callable[[], Work], dataset: Dataset) -> None:
    folder, data = small(tmp_path / "model"), dataset(xs())
    for per_channel, shape in ((True, (32,)), (False, ())):
        work = works()
        Quantize(per_channel=per_channel, equalize=False, smooth=False).run(
            {"model": folder, "calibration": data}, work
        )
        arrays = initializers(work.out)
        assert arrays["w_quantized"].dtype == np.int8
        assert arrays["w_scale"].shape == shape


def test_reduced_range_keeps_neighbours_small(tmp_path: Path, work: Work, dataset: Dataset) -> None:
    Quantize(reduce_range=True, smooth=False).run(
        {"model": small(tmp_path / "model"), "calibration": dataset(xs())}, work
    )
    codes = np.abs(initializers(work.out)["w_quantized"].astype(int))
    assert (codes[::2] + codes[1::2]).max() <= 128  # 255 times that fits 16 bits


def test_ranges_are_recorded_as_written(tmp_path: Path, work: Work, dataset: Dataset) -> None:
    Quantize(ranges="minmax").run({"model": small(tmp_path / "model"), "calibration": dataset(xs())}, work)
    note = next(note for note in work.notes["ranges"] if note["tensor"] == "data")
    assert note["max"] == pytest.approx(xs()["x"].max())
    assert note["scale"] == pytest.approx((note["high"] - note["low"]) / 255, rel=1e-5)
    assert note["zero_point"] == pytest.approx(-note["low"] / note["scale"], abs=0.51)


@pytest.mark.parametrize("opset", [9, 11, 13, 20])
def test_old_operator_sets_are_converted(opset: int, tmp_path: Path, work: Work, dataset: Dataset) -> None:
    Quantize(reduce_range=True).run(
        {"model": small(tmp_path / "model", opset=opset), "calibration": dataset(xs())}, work
    )
    assert work.notes["int8_nodes"] == {"MatMul": [2, 2]}
    assert work.notes["quality"]["y"]["sqnr_db"] > 20


def test_dynamic_needs_no_calibration_data(tmp_path: Path, work: Work) -> None:
    step = Quantize(method="dynamic", reduce_range=True)
    assert step.active_roles() == {"model"}
    assert Quantize().active_roles() == {"model", "calibration"}
    step.run({"model": small(tmp_path / "model")}, work)
    assert work.notes["int8_nodes"] == {"MatMul": [2, 2]}


def test_quantizing_twice_is_refused(tmp_path: Path, works: Callable[[], Work], dataset: Dataset) -> None:
    first, data = works(), dataset(xs())
    Quantize().run({"model": small(tmp_path / "model"), "calibration": data}, first)
    for method in ("static", "dynamic"):
        with pytest.raises(UsageError, match=r"quantized already: node '.*' is (Q|Deq)uantizeLinear"):
            Quantize(method=method).run({"model": first.out, "calibration": data}, works())


def test_too_few_samples_are_refused(tmp_path: Path, work: Work, dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="holds 3 samples; at least 8 are needed"):
        Quantize().run({"model": small(tmp_path / "model"), "calibration": dataset(xs(3))}, work)


def test_samples_of_another_shape_are_refused(tmp_path: Path, work: Work, dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"input 'x' has shape \[8, 15\], the model wants \[batch, 16\]"):
        Quantize().run({"model": small(tmp_path / "model"), "calibration": dataset(xs(width=15))}, work)


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "row 13, input `x`: holds NaN"), (np.inf, "sample 13: input 'x'")]
)
def test_bad_numbers_in_the_data_name_the_sample(
    value: float, message: str, tmp_path: Path, work: Work, dataset: Dataset
) -> None:
    arrays = xs()
    arrays["x"][13, 4] = value
    with pytest.raises(UsageError, match=message):
        Quantize().run({"model": small(tmp_path / "model"), "calibration": dataset(arrays)}, work)


def test_nan_in_an_activation_names_the_tensor(tmp_path: Path, work: Work, dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="tensor data holds NaN or infinity"):
        Quantize().run({"model": small(tmp_path / "model", root=True), "calibration": dataset(xs())}, work)


def test_nothing_to_quantize_is_an_error(tmp_path: Path, works: Callable[[], Work], dataset: Dataset) -> None:
    folder = small(tmp_path / "model")
    proto = onnx.load(folder / "model.onnx")
    del proto.graph.node[1:3], proto.graph.initializer[:]
    proto.graph.node[-1].CopyFrom(helper.make_node("Slice", ["data", "s", "e", "a"], ["y"]))
    for name, value in (("s", 0), ("e", 8), ("a", 1)):
        proto.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    onnx.save(proto, folder / "model.onnx")
    with pytest.raises(StepFailed, match="nothing to quantize"):
        Quantize().run({"model": folder, "calibration": dataset(xs())}, works())
    with pytest.raises(StepFailed, match="constant float32 weights of 16 channels or more"):
        Quantize(target="tensorrt").run({"model": folder, "calibration": dataset(xs())}, works())
    with pytest.raises(StepFailed, match="no node runs in int8"):
        Quantize(method="dynamic").run({"model": folder}, works())


@pytest.mark.parametrize("percentile", [0.0, 50.0, 100.1, float("nan")])
def test_percentile_must_make_sense(percentile: float, tmp_path: Path, work: Work, dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="percentile is"):
        Quantize(percentile=percentile).run({"model": small(tmp_path / "model"), "calibration": dataset(xs())}, work)


def test_unknown_target_is_refused(tmp_path: Path, work: Work, dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="no profile for the target 'abacus'"):
        Quantize(target="abacus").run({"model": small(tmp_path / "model"), "calibration": dataset(xs())}, work)


def test_what_depends_on_the_host_is_resolved_when_planning() -> None:
    old, new = Host(frozenset({"avx2"}), ""), Host(frozenset({"avx2", "avx512_vnni"}), "")
    assert Quantize().resolve("onnxruntime-cpu", old).reduce_range is True
    assert Quantize().resolve("onnxruntime-cpu", new).reduce_range is False
    assert Quantize(reduce_range=False).resolve("onnxruntime-cpu", old).reduce_range is False
    assert Quantize(target="tensorrt").resolve("onnxruntime-cpu", old).target == "tensorrt"


def test_options_are_a_strict_schema() -> None:
    import pydantic

    adapter = pydantic.TypeAdapter(Quantize)
    assert set(adapter.json_schema()["properties"]) >= {"method", "ranges", "per_channel", "reduce_range", "target"}
    with pytest.raises(pydantic.ValidationError, match="ranges"):
        adapter.validate_json('{"ranges": "msee"}')
    with pytest.raises(pydantic.ValidationError, match="rangs"):
        adapter.validate_json('{"rangs": "mse"}')
