from __future__ import annotations

import pytest

from optkit.core.errors import UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.workflow.shared_inputs import shared_inputs


def model(*shape: int | str, name: str = "x", dtype: str = "float32", **dims: Dim) -> Interface:
    return Interface((Tensor(name, dtype, shape),), (), dims)


def test_one_model_is_taken_as_it_is() -> None:
    only = model("batch", 3, batch=Dim(1, 4, 8))
    assert shared_inputs(["a"], [only]) == only


def test_ranges_are_cut_to_what_all_take_by_whatever_name() -> None:
    first = model("batch", "time", batch=Dim(1, 8, 32), time=Dim(1, 16, 64))
    second = model("batch", "tokens", batch=Dim(2, 4, 6), tokens=Dim(20, 30, 50))
    shared = shared_inputs(["a", "b"], [first, second])
    assert shared.inputs == first.inputs
    assert shared.dims == {"batch": Dim(2, 6, 6), "time": Dim(20, 20, 50)}


@pytest.mark.parametrize("turn", [1, -1])
def test_what_one_fixes_is_fixed_wherever_it_stands(turn: int) -> None:
    dims = {"batch": Dim(1, 8, 32)}
    free = Interface((Tensor("x", "float32", ("batch", 3)), Tensor("h", "float32", (2, "batch"))), (), dims)
    fixed = Interface((Tensor("x", "float32", (1, 3)), Tensor("h", "float32", (2, 1))), (), {})
    shared = shared_inputs(["a", "b"], [free, fixed][::turn])
    assert [tensor.shape for tensor in shared.inputs] == [(1, 3), (2, 1)]
    assert shared.dims == {}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (model("batch", 3, name="y"), "b cannot take the inputs of a: it takes y, not x"),
        (model("batch", 3, dtype="int64"), r"x is int64 \[batch, 3\], not float32 \[batch, 3\]"),
        (model("batch"), r"x is float32 \[batch\], not float32 \[batch, 3\]"),
        (model("batch", 4), "an axis has the size 4, not 3"),
        (model("batch", 3, batch=Dim(64, 64, 64)), "no size of batch suits both"),
    ],
)
def test_models_that_share_no_inputs_are_refused(other: Interface, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        shared_inputs(["a", "b"], [model("batch", 3, batch=Dim(1, 8, 32)), other])
