from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.core import interface
from optkit.core.errors import StepFailed
from optkit.core.interface import Dim, Interface, Tensor
from optkit.measure.parity import check_parity, compare_outputs, measure_parity
from optkit.runtimes.table import RUNTIMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike

    from tests.measure.conftest import MakeMlp


@dataclass(frozen=True)
class Numpy:
    """A session whose model is a numpy function."""

    function: Callable[[np.ndarray], np.ndarray]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": self.function(inputs["x"])}


IMAGE = Interface(
    (Tensor("x", "float32", ("batch", "width")),),
    (Tensor("y", "float32", ("batch", "width")),),
    {"batch": Dim(1, 4, 8), "width": Dim(2, 16, 32)},
)


def test_noise_is_measured_as_it_is_made(mlp: MakeMlp) -> None:
    clean, noisy = mlp("clean"), mlp("noisy", noise=1e-3)
    exact, rough = (RUNTIMES["onnxruntime"].open(folder, 1) for folder in (clean, noisy))
    declared = interface.read(clean)
    assert check_parity(exact, exact, declared, tolerance=0.0).worst is not None
    report = measure_parity(exact, rough, declared)
    assert report.worst is not None
    assert 1e-4 < report.worst[1].relative_to_scale < 1e-2
    assert 0.999 < report.worst[1].cosine < 1
    assert 40 < report.worst[1].sqnr_db < 80
    with pytest.raises(StepFailed, match=r"output 'y' is off by \S+ of its scale at batch=\d .*tolerance is 1e-05"):
        check_parity(exact, rough, declared, tolerance=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x: x if x.shape[0] > 3 else -x, r"off by 2 of its scale at batch=[123], width=\d+"),
        (lambda x: x if x.shape[1] % 8 else np.pad(x, ((0, 0), (0, 8))), r"no parity at batch=\d, width=(8|16|32): "),
        (lambda x: x[:, :16] if x.shape[1] > 16 else x, r"'y' has shape \(8, 16\), the reference's has \(8, 32\)"),
        (lambda x: np.where(x.shape[0] == 8, np.nan, x), r"off by inf of its scale at batch=8"),
    ],
)
def test_what_an_exporter_bakes_in_is_found(wrong: Callable[[np.ndarray], np.ndarray], message: str) -> None:
    with pytest.raises(StepFailed, match=message):
        check_parity(Numpy(lambda x: x), Numpy(wrong), IMAGE, tolerance=1e-3)


def test_real_samples_are_compared_too() -> None:
    sample = {"x": np.full((1, 2), 1000, np.float32)}
    overflows = Numpy(lambda x: np.where(x > 100, np.inf, x).astype(np.float32))
    check_parity(Numpy(lambda x: x), overflows, IMAGE, tolerance=0.0)
    with pytest.raises(StepFailed, match="at sample 0"):
        check_parity(Numpy(lambda x: x), overflows, IMAGE, tolerance=0.0, samples=[sample])


def _only_even(x: np.ndarray) -> np.ndarray:
    if x.shape[1] % 2:
        raise StepFailed("width must be even")
    return x


def test_sizes_that_the_reference_refuses_are_noted_unless_declared() -> None:
    report = check_parity(Numpy(_only_even), Numpy(_only_even), IMAGE, tolerance=0.0)
    assert any("width must be even" in note for note in report.notes)
    odd = Interface(IMAGE.inputs, IMAGE.outputs, {"batch": Dim(1, 4, 8), "width": Dim(3, 16, 32)})
    with pytest.raises(StepFailed, match=r"the reference does not run at batch=1, width=3: width must be even"):
        check_parity(Numpy(_only_even), Numpy(_only_even), odd, tolerance=0.0)


def test_a_candidate_that_fails_says_where() -> None:
    with pytest.raises(StepFailed, match=r"no parity at batch=\d, width=\d*[13579]: width must be even"):
        check_parity(Numpy(lambda x: x), Numpy(_only_even), IMAGE, tolerance=0.0)


def _one(expected: ArrayLike, actual: ArrayLike) -> tuple[float, float]:
    (error,) = compare_outputs({"y": np.asarray(expected)}, {"y": np.asarray(actual)})
    return error.max_abs, error.relative_to_scale


def test_small_outputs_do_not_pass_as_close() -> None:
    assert _one([1e-6, 2e-6], [2e-6, 1e-6])[1] == pytest.approx(0.5, rel=1e-9)


def test_zeros_have_no_scale() -> None:
    assert _one([0.0], [1e-9]) == (1e-9, math.inf)
    assert _one([0.0], [0.0]) == (0.0, 0.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_must_be_in_the_same_places(value: float) -> None:
    assert _one([1.0, value], [1.0, value]) == (0.0, 0.0)
    assert _one([1.0, value], [1.5, value]) == (0.5, 0.5)
    assert _one([1.0, 1.0], [1.0, value]) == (math.inf, math.inf)
    assert _one([1.0, value], [1.0, 1.0]) == (math.inf, math.inf)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_])
def test_whole_numbers_are_equal_or_not(dtype: type[np.generic]) -> None:
    assert _one(np.array([1, 0], dtype), np.array([1, 0], dtype)) == (0.0, 0.0)
    assert _one(np.array([1, 0], dtype), np.array([1, 1], dtype)) == (1.0, math.inf)
    big = np.array([2**60], np.int64)
    assert _one(big, big + 1)[1] == math.inf


def test_names_shapes_and_kinds_of_number_must_match() -> None:
    x = np.zeros((1, 2))
    with pytest.raises(StepFailed, match="does not return y; it returns z"):
        compare_outputs({"y": x}, {"z": x})
    with pytest.raises(StepFailed, match=r"output 'y' has shape \(2, 1\), the reference's has \(1, 2\)"):
        compare_outputs({"y": x}, {"y": x.T})
    with pytest.raises(StepFailed, match="output 'y' is float64, the reference's is int64"):
        compare_outputs({"y": x.astype(np.int64)}, {"y": x})


@given(scale=st.floats(1e-3, 1e3), noise=st.floats(1e-6, 1e-1), seed=st.integers(0, 50))
def test_errors_follow_their_definitions(scale: float, noise: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    expected = scale * random.normal(size=50)
    actual = expected + scale * noise * random.normal(size=50)
    (error,) = compare_outputs({"y": expected}, {"y": actual})
    gap = actual - expected
    assert error.max_abs == pytest.approx(np.abs(gap).max(), rel=1e-9)
    assert error.relative_to_scale == pytest.approx(np.abs(gap).max() / np.abs(expected).max(), rel=1e-9)
    assert error.sqnr_db == pytest.approx(20 * np.log10(np.linalg.norm(expected) / np.linalg.norm(gap)), abs=1e-6)
    assert error.cosine == pytest.approx(
        np.corrcoef(np.r_[expected, -expected], np.r_[actual, -actual])[0, 1], abs=1e-9
    )
