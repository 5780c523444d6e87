"""ONNX's own test cases for operators and models: all that ONNX Runtime runs can be prepared and quantized."""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.loader import load_model_tests

from optkit.core.errors import StepFailed, UsageError
from optkit.quant.dynamic import write_dynamic
from optkit.quant.engine import Format, write_static
from optkit.quant.layout import calibrated_tensors
from optkit.quant.observe import observe
from optkit.quant.placement import place
from optkit.quant.prepare import prepare
from optkit.quant.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Feeds = dict[str, NDArray[Any]]
    Case = tuple[str, onnx.ModelProto, Feeds]

pytestmark = pytest.mark.heavy
FORM = Format(per_channel=True, reduce_range=True)
OPERATORS = ["BatchNormalization", "Conv", "ConvTranspose", "Gather", "Gemm", "If", "LSTM", "Loop", "MatMul", "Pad"]


def run(proto: onnx.ModelProto, feeds: Feeds) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    results: list[Any] = session.run(None, feeds)
    return results


@cache
def all_cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, on the cases' own edge values
        return [case for case in collect_testcases(None) if case.model is not None and case.data_sets]


def operator_cases(operator: str) -> Iterator[Case]:
    for case in all_cases():
        if any(node.op_type == operator for node in case.model.graph.node) and "expanded" not in case.name:
            names = [value.name for value in case.model.graph.input]
            yield case.name, case.model, dict(zip(names, case.data_sets[0][0], strict=False))


def model_cases(kind: str) -> Iterator[Case]:
    for case in load_model_tests(kind=kind):
        proto = onnx.load(f"{case.model_dir}/model.onnx")
        constants = {tensor.name for tensor in proto.graph.initializer}
        names = [value.name for value in proto.graph.input if value.name not in constants]
        tensors = [onnx.load_tensor(f"{case.model_dir}/test_data_set_0/input_{i}.pb") for i in range(len(names))]
        yield case.name, proto, {name: numpy_helper.to_array(t) for name, t in zip(names, tensors, strict=True)}


def with_weights(proto: onnx.ModelProto, feeds: Feeds) -> tuple[onnx.ModelProto, Feeds]:
    """Makes all float inputs but the first constant: operators without weights are of no interest."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(proto)
    names = [name for name in list(feeds)[1:] if getattr(feeds[name], "dtype", None) == np.float32]
    fixed.graph.initializer.extend(numpy_helper.from_array(feeds[name], name) for name in names)
    inputs = [value for value in fixed.graph.input if value.name not in names]
    del fixed.graph.input[:]
    fixed.graph.input.extend(inputs)
    return fixed, {name: array for name, array in feeds.items() if name not in names}


def check(proto: onnx.ModelProto, feeds: Feeds, folder: Path) -> int:
    """Quantizes for all targets and returns the number of int8 nodes; refusals count as none."""
    try:
        expected = run(proto, feeds)
    except Exception:  # noqa: BLE001  # onnxruntime's exceptions share no other base
        return 0
    try:
        model = prepare(ir.serde.deserialize_model(proto))
    except (UsageError, StepFailed):
        return 0
    count = 0
    for number, profile in enumerate(PROFILES.values()):
        nodes = place(model, profile)
        if not nodes:
            continue
        scratch = folder / str(number)
        scratch.mkdir(parents=True)
        seen = observe(model, calibrated_tensors(nodes, profile), [feeds], scratch)
        ranges = {name: (each.low, each.high) for name, each in seen.items()}
        compare(expected, run(ir.serde.serialize_model(write_static(model, nodes, ranges, profile, FORM)), feeds))
        count += len(nodes)
    compare(expected, run(ir.serde.serialize_model(write_dynamic(model, FORM)), feeds))
    return count


def compare(expected: list[Any], actual: list[Any]) -> None:
    for before, after in zip(expected, actual, strict=True):
        if not isinstance(before, np.ndarray) or before.dtype != np.float32 or not np.isfinite(before).all():
            continue
        assert np.isfinite(after).all()
        error, power = np.sum((before - after).astype(np.float64) ** 2), np.sum(before.astype(np.float64) ** 2)
        assert error <= 0.01 * power + 1e-12


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_operators(operator: str, tmp_path: Path) -> None:
    counts = {
        name: check(*with_weights(proto, feeds), tmp_path / name) for name, proto, feeds in operator_cases(operator)
    }
    assert counts
    if operator in {"Conv", "ConvTranspose", "Gemm"}:
        assert sum(counts.values()) > 0


@pytest.mark.parametrize("kind", ["pytorch-converted", "pytorch-operator", "simple"])
def test_models(kind: str, tmp_path: Path) -> None:
    counts = {name: check(proto, feeds, tmp_path / name) for name, proto, feeds in model_cases(kind)}
    assert counts
    if kind == "pytorch-converted":
        assert sum(counts.values()) > 40
