"""Engines of TensorRT-RTX, built for real; nothing here runs one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from optkit.core.errors import MissingDependency, StepFailed, UsageError
from optkit.core.interface import Dim
from optkit.core.passes import Host, Work
from optkit.passes.build_engine import BuildEngine
from optkit.runtimes.cuda import find_gpu
from optkit.workflow.choices import choices
from tests.passes.engines import FLOAT, HALF, INT8, artifact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Build = Callable[..., tuple[dict[str, Any], Work]]

RTX = BuildEngine(target="tensorrt-rtx", capabilities=("8.9",))
HOST = Host(frozenset(), "cpu")


@pytest.fixture(scope="module", autouse=True)
def _library() -> None:
    pytest.importorskip("tensorrt_rtx", reason="optkit[rtx] is not installed", exc_type=ImportError)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def run(text: str = FLOAT, do: BuildEngine = RTX, **given: Any) -> tuple[dict[str, Any], Work]:  # noqa: ANN401  # what the graph's file is made with
        work = Work(tmp_path / "out", tmp_path / "scratch", tools=tmp_path / "tools")
        do.run({"model": artifact(tmp_path / "model", text, **given)}, work)
        return json.loads((work.out / "engine.json").read_text()), work

    return run


@pytest.mark.parametrize(
    ("text", "precision"), [(FLOAT, "float32"), (HALF, "float16"), (INT8, "int8")], ids=["float", "half", "int8"]
)
def test_the_graph_decides_the_precision(text: str, precision: str, build: Build) -> None:
    about, work = build(text)
    products = [layer for layer in about["layers"] if layer["kind"] == "matrix_multiply"]
    assert [layer["precision"] for layer in products] == [precision]
    assert (work.out / "engine.plan").read_bytes().startswith(b"vtrt")
    assert about["plan"]["bytes"] == (work.out / "engine.plan").stat().st_size


def test_an_engine_says_what_it_is_bound_to(build: Build) -> None:
    about, work = build()
    assert about["library"] == "tensorrt-rtx"
    assert about["version"] == __import__("tensorrt_rtx").__version__
    assert re.fullmatch(r"Linux-\w+", about["platform"])
    assert about["capabilities"] == ["8.9"]
    assert about["profiles"] == [{"x": {"min": [1, 16], "opt": [4, 16], "max": [16, 16]}}]
    assert about["inputs"] == [{"name": "x", "dtype": "float32", "shape": [-1, 16]}]
    assert [output["name"] for output in about["outputs"]] == ["y"]
    assert json.loads((work.out / "model.json").read_text())["interface"]["dims"]["batch"]["max"] == 16
    assert work.notes["engine"]["builder_seconds"] > 0
    assert not [line for line in work.notes["engine"]["log"] if "cudaError" in line]
    if find_gpu() is None:
        assert "needs an NVIDIA GPU" in about["kernels"]["skipped"]
        (remark,) = choices("build-engine", work.notes)
        assert remark.endswith(about["kernels"]["skipped"])


def test_all_capabilities_by_default(build: Build) -> None:
    about, _ = build(do=BuildEngine(target="tensorrt-rtx"))
    assert about["capabilities"] == ["7.5", "8.0", "8.6", "8.9", "12.0", "12.1"]


@pytest.mark.parametrize("text", [FLOAT, INT8], ids=["float", "int8"])
def test_the_same_graph_gives_the_same_bytes(text: str, build: Build) -> None:
    first = build(text)[0]
    second = build(text)[0]
    assert first == second
    assert build(text, replace(RTX, capabilities=("8.6",)))[0]["plan"] != first["plan"]


def test_weights_may_lie_beside_the_graph(build: Build, tmp_path: Path) -> None:
    inside = build()[0]
    assert build(external=True)[0]["plan"]["bytes"] == inside["plan"]["bytes"]
    assert (tmp_path / "model" / "model.onnx.data").is_file()


def test_several_profiles(build: Build) -> None:
    profiles = ({"batch": Dim(1, 1, 1)}, {"batch": Dim(2, 8, 16)})
    about, work = build(do=replace(RTX, profiles=profiles))
    assert [each["x"]["max"] for each in about["profiles"]] == [[1, 16], [16, 16]]
    assert work.notes["engine"]["profiles"] == 2


def test_a_graph_without_dynamic_dimensions_needs_no_profile(build: Build) -> None:
    about, _ = build(FLOAT.replace("batch", "4"), dims={})
    assert about["inputs"][0]["shape"] == [4, 16]


@pytest.mark.parametrize(
    ("profiles", "dims", "message"),
    [
        (({"bach": Dim(1, 1, 1)},), None, "a profile names 'bach'.*\ndid you mean 'batch'"),
        (({"batch": Dim(1, 1, 8)},), None, "no profile covers batch = 9, which the model must take"),
        (({"batch": Dim(1, 1, 4)}, {"batch": Dim(6, 8, 16)}), None, "no profile covers batch = 5"),
        ((), {}, "the dimension 'batch' of input x has no sizes"),
    ],
)
def test_profiles_that_do_not_fit(
    profiles: tuple[dict[str, Dim], ...], dims: dict[str, Dim] | None, message: str, build: Build
) -> None:
    given = {} if dims is None else {"dims": dims}
    with pytest.raises(UsageError, match=message):
        build(do=replace(RTX, profiles=profiles), **given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profiles": ({"batch": Dim(4, 2, 8)},)}, "batch needs 1 ≤ min ≤ opt ≤ max, has 4, 2, 8"),
        ({"level": 6}, "level should be 0 to 5, not 6"),
        ({"workspace": 0}, "workspace should be at least 1 MiB"),
        ({"plugins": ("a/mine.so", "b/mine.so")}, "two plugins have the same file name"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BuildEngine(**options)


def test_every_node_that_would_be_refused_is_listed(build: Build, tmp_path: Path) -> None:
    text = (
        "g (float[batch,16] x) => (float[batch,16] y) <float s = {0.1}, uint8 z = {3}> "
        "{ q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) y = com.microsoft.FastGelu(d) }"
    )
    with pytest.raises(UsageError) as refused:
        build(text)
    assert refused.value.message.splitlines() == [
        "3 nodes keep the graph from becoming an engine of tensorrt-rtx:",
        "  QuantizeLinear n0: its zero point is not 0",
        "  DequantizeLinear n1: its zero point is not 0",
        "  com.microsoft::FastGelu n2: an operator of the domain com.microsoft, which only ONNX Runtime has",
    ]
    assert "quantize with `target: tensorrt`" in refused.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hardware": "ampere+"}, "hardware is an option of tensorrt, not of tensorrt-rtx"),
        ({"version_compatible": True}, "version_compatible is an option of tensorrt"),
        ({"target": "tensorrt"}, "capabilities is an option of tensorrt-rtx, not of tensorrt"),
        ({"plugins": ("mine.so",)}, "plugins is an option of tensorrt"),
        ({"target": "onnxruntime-cpu"}, "no engine is built for the target onnxruntime-cpu"),
    ],
)
def test_options_of_another_library(options: dict[str, Any], message: str, build: Build) -> None:
    with pytest.raises(UsageError, match=message):
        build(do=replace(RTX, **options))


def test_a_library_that_is_absent_is_named(build: Build) -> None:
    with pytest.raises(MissingDependency, match=r"tensorrt is not installed\n.*defer: true"):
        build(do=BuildEngine(target="tensorrt"))


def test_what_needs_a_gpu_is_said_to(build: Build) -> None:
    if find_gpu() is not None:
        pytest.skip("there is a GPU")
    with pytest.raises(MissingDependency, match="needs a GPU to build with these options") as absent:
        build(do=replace(RTX, refit="all", strip=True))
    assert "cudaError 35" not in absent.value.message


def test_the_builders_own_error_is_kept(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    # Our own checks let nothing through that the builder refuses.
    monkeypatch.setattr("optkit.passes.building.add_profiles", lambda *_: None)
    with pytest.raises(StepFailed, match=r"the builder failed: .*no optimization profile has been defined"):
        build()


def test_keys_of_engines() -> None:
    assert "tensorrt-rtx" in RTX.distributions()
    assert "tensorrt" in BuildEngine(target="tensorrt").distributions()
    assert RTX.distributions() != replace(RTX, defer=True).distributions()
    assert RTX.device(HOST) == ""  # its capabilities are options
    assert BuildEngine(target="tensorrt").device(HOST) != ""
    assert BuildEngine().resolve("tensorrt-rtx", HOST).target == "tensorrt-rtx"
    assert BuildEngine(target="tensorrt").resolve("tensorrt-rtx", HOST).target == "tensorrt"
