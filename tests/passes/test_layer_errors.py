from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from optkit.core.errors import StepFailed
from optkit.graph.clean import SOURCE
from optkit.passes.layer_errors import LayerComparison, check_comparable, compare_layers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RANDOM = np.random.default_rng(0)
WEIGHTS = [RANDOM.standard_normal((8, 8)).astype(np.float32) / 3 for _ in range(4)]
FEED = {"x": RANDOM.standard_normal((16, 8)).astype(np.float32)}
HEAD = '<ir_version: 10, opset_import: ["" : 21]> g (float[n, 8] x) => (float[n, 8] y) '
TEXT = (
    "{ [l0] a = MatMul(x, w0) [r0] b = Relu(a) [l1] c = MatMul(b, w1) [r1] d = Tanh(c) "
    "[l2] e = MatMul(d, w2) [l3] y = MatMul(e, w3) }"
)


def model(text: str = TEXT, **changed: NDArray[Any]) -> ir.Model:
    proto = onnx.parser.parse_model(HEAD + text)
    weights = {f"w{index}": array for index, array in enumerate(WEIGHTS)} | changed
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    found = ir.from_proto(proto)
    for node in found.graph:
        if node.name == "l2":
            node.metadata_props[SOURCE] = "model.py:42"
    return found


def test_equal_graphs_have_no_error(tmp_path: Path) -> None:
    found = compare_layers(model(), model(), FEED, tmp_path)
    assert [error.tensor for error in found.errors] == ["a", "b", "c", "d", "e", "y"]
    assert {error.sqnr_db for error in found.errors} == {np.inf}
    assert (found.first_bad, found.unmatched) == (None, 0)


def corrupted() -> ir.Model:
    return model(w2=-WEIGHTS[2])


def test_error_enters_where_a_weight_was_corrupted(tmp_path: Path) -> None:
    found = compare_layers(model(), corrupted(), FEED, tmp_path)
    bad = found.first_bad
    assert bad is not None
    assert (bad.tensor, bad.node, bad.operator, bad.source) == ("e", "l2", "MatMul", "model.py:42")
    assert bad.cosine == pytest.approx(-1, abs=1e-6)
    assert bad.relative_to_scale == pytest.approx(2, rel=1e-5)
    assert [error.max_abs for error in found.errors[:4]] == [0.0] * 4


def test_memory_is_bounded_by_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare_layers(model(), corrupted(), FEED, tmp_path / "whole")
    monkeypatch.setattr("optkit.quant.observe.BUDGET", 1)
    assert compare_layers(model(), corrupted(), FEED, tmp_path / "single") == whole


QUANTIZED = (
    "{ [l0] a = MatMul(x, w0) q = QuantizeLinear(a, s, z) a_back = DequantizeLinear(q, s, z) [r0] b = Relu(a_back) "
    "[l1] c = MatMul(b, w1) [r1] d = Tanh(c) [l2] e = MatMul(d, w2) [l3] y = MatMul(e, w3) }"
)


@pytest.mark.parametrize(("scale", "first"), [(0.03, None), (2.0, "a")])
def test_a_quantized_tensor_is_what_is_read_of_it(scale: float, first: str | None, tmp_path: Path) -> None:
    """Rounding is the error of the tensor that is rounded, not of its reader."""
    int8 = model(QUANTIZED, s=np.array(scale, np.float32), z=np.array(0, np.int8))
    found = compare_layers(model(), int8, FEED, tmp_path)
    assert found.errors[0].tensor == "a"
    assert 0 < found.errors[0].max_abs <= scale / 2 + 1e-6
    assert (found.first_bad and found.first_bad.tensor) == first


def test_half_precision(tmp_path: Path) -> None:
    text = TEXT.replace("[r0] b = Relu(a)", "a16 = Cast<to = 10>(a) b16 = Relu(a16) b = Cast<to = 1>(b16)").replace(
        "b16", "h"
    )
    found = compare_layers(
        model(TEXT.replace("b = Relu(a)", "h = Relu(a) b = Identity(h)")), model(text), FEED, tmp_path
    )
    half = next(error for error in found.errors if error.tensor == "h")
    assert 50 < half.sqnr_db < 90
    assert found.unmatched == 1  # a16


def test_equalised_channels_are_no_error(tmp_path: Path) -> None:
    factors = np.float32(2.0) ** np.arange(-4, 4, dtype=np.float32)
    equal = model(w0=WEIGHTS[0] * factors, w1=WEIGHTS[1] / factors[:, None])
    found = compare_layers(model(), equal, FEED, tmp_path)
    assert [error.rescaled_db for error in found.errors[:2]] == [np.inf, np.inf]
    assert found.errors[0].max_abs > 1
    assert found.first_bad is None


def test_a_factor_that_nothing_makes_up_for_is_an_error(tmp_path: Path) -> None:
    found = compare_layers(model(), model(w2=WEIGHTS[2] * 3), FEED, tmp_path)
    assert found.first_bad is not None
    assert found.first_bad.tensor == "e"
    assert found.errors[-1].rescaled_db is not None


def test_nan_is_bad_and_no_signal_is_not(tmp_path: Path) -> None:
    found = compare_layers(model(), model(w1=WEIGHTS[1] * np.float32(np.nan)), FEED, tmp_path / "nan")
    assert found.first_bad is not None
    assert found.first_bad.tensor == "c"
    silent = model(w0=WEIGHTS[0] * 0), model(w0=WEIGHTS[0] * 0 + np.float32(1e-12))
    assert compare_layers(*silent, FEED, tmp_path / "silent").first_bad is None


def test_graphs_that_share_no_tensor() -> None:
    with pytest.raises(StepFailed, match=r"no tensor inside b\.onnx has the name and shape of one inside a\.onnx"):
        check_comparable(LayerComparison((), None, 20.0, 3), "a.onnx", "b.onnx")
