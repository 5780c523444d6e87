from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.graph.quantized_tensors import quantized_tensors
from optkit.quant.tensor_errors import TensorError, activation_errors, sqnr_db, weight_errors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

node = helper.make_node


def model_of(*nodes: Any, **constants: NDArray[Any]) -> ir.Model:  # noqa: ANN401  # NodeProto
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 6]) for name in ("x", "y")]
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(list(nodes), "g", ends[:1], ends[1:], tensors)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return ir.serde.deserialize_model(proto)


def activations(*, scale: float = 0.02, factor: NDArray[Any] | None = None) -> ir.Model:
    """Returns y = DQ(Q(h)) with h = x times a factor per channel."""
    factors = np.ones(6, np.float32) if factor is None else factor.astype(np.float32)
    return model_of(
        node("Mul", ["x", "f"], ["h"]),
        node("QuantizeLinear", ["h", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        f=factors, s=np.array(scale, np.float32), z=np.array(128, np.uint8),
    )  # fmt: skip


REFERENCE = model_of(node("Mul", ["x", "f"], ["h"]), node("Identity", ["h"], ["y"]), f=np.ones(6, np.float32))
FEED = {"x": np.random.default_rng(0).uniform(-1, 1, (200, 6)).astype(np.float32)}


def errors(model: ir.Model, reference: ir.Model | None, folder: Path) -> TensorError:
    found = activation_errors(model, reference, quantized_tensors(model), FEED, folder)
    assert list(found) == ["h"]
    return found["h"]


def test_the_ratio_is_that_of_uniform_rounding(tmp_path: Path) -> None:
    error = errors(activations(), REFERENCE, tmp_path)
    # Signal power of U(-1, 1) is 1/3, noise power scale²/12.
    assert error.sqnr_db == pytest.approx(10 * np.log10((1 / 3) / (0.02**2 / 12)), abs=0.5)
    assert (error.saturated, error.rescaled) == (0.0, False)


def test_values_beyond_the_codes_saturate(tmp_path: Path) -> None:
    error = errors(activations(scale=0.004), None, tmp_path)
    assert error.sqnr_db is None
    assert error.saturated == pytest.approx(1 - 127.5 * 0.004, abs=0.05)


def test_factors_per_channel_are_told_from_noise(tmp_path: Path) -> None:
    error = errors(activations(factor=np.array([1, 0.5, 2, 0.7, 1, 1])), REFERENCE, tmp_path)
    assert error.rescaled
    assert error.sqnr_db is not None
    assert error.sqnr_db > 30


def test_a_tensor_that_the_reference_lacks(tmp_path: Path) -> None:
    other = model_of(node("Identity", ["x"], ["y"]))
    assert errors(activations(), other, tmp_path) == TensorError(None, 0.0)


def weights(name: str, codes: NDArray[Any], scale: NDArray[Any]) -> ir.Model:
    nodes = [node("DequantizeLinear", [name, "s"], ["w"], axis=1), node("MatMul", ["x", "w"], ["y"])]
    return model_of(*nodes, **{name: codes, "s": scale})


MATRIX = np.random.default_rng(1).standard_normal((6, 6)).astype(np.float32)
STORED = model_of(node("MatMul", ["x", "w"], ["y"]), w=MATRIX)
SCALE = (np.abs(MATRIX).max(axis=0) / 127).astype(np.float32)
CODES = np.rint(MATRIX / SCALE).astype(np.int8)


@pytest.mark.parametrize("name", ["w_quantized", "w_transposed_q8", "w_scaled_quantized"])
def test_weights_are_found_whatever_the_writer_calls_them(name: str) -> None:
    model = weights(name, CODES, SCALE)
    [(found, error)] = weight_errors(STORED, quantized_tensors(model))
    assert found == name
    assert error.sqnr_db == pytest.approx(sqnr_db(MATRIX, CODES * SCALE), abs=1e-3)
    assert not error.rescaled


def test_rescaled_rows_and_columns() -> None:
    rows = np.array([1, 4, 0.3, 1, 2, 1])[:, None]
    scaled = (MATRIX * rows * np.array([3, 1, 1, 0.2, 1, 1])).astype(np.float32)
    scale = (np.abs(scaled).max(axis=0) / 127).astype(np.float32)
    model = weights("w_quantized", np.rint(scaled / scale).astype(np.int8), scale)
    [(_, error)] = weight_errors(STORED, quantized_tensors(model))
    assert error.rescaled
    assert error.sqnr_db is not None
    assert error.sqnr_db > 30


def test_another_weight_is_not_taken_for_a_rescaled_one() -> None:
    other = np.random.default_rng(2).integers(-127, 128, (6, 6)).astype(np.int8)
    [(_, error)] = weight_errors(STORED, quantized_tensors(weights("w_quantized", other, SCALE)))
    assert error.sqnr_db is not None
    assert error.sqnr_db < 10


def test_equal_tensors_have_no_ratio() -> None:
    assert sqnr_db(MATRIX, MATRIX) is None
    assert sqnr_db(np.zeros(3), np.ones(3)) is None
    assert sqnr_db(np.array([10.0, 0]), np.array([10.0, 1])) == pytest.approx(20)
