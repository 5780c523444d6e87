from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from optkit.core.interface import Dim, Interface, Tensor, shape_at
from optkit.measure.sizes import parity_cases, required_cases


def _interface(**dims: Dim) -> Interface:
    return Interface((Tensor("x", "float32", tuple(dims)),), (), dims)


def test_a_static_model_has_one_case() -> None:
    assert parity_cases(Interface((Tensor("x", "float32", (1, 3)),), ())) == ([{}], [])


def test_ends_tuned_odd_and_aligned_sizes_are_tried() -> None:
    cases, notes = parity_cases(_interface(batch=Dim(1, 4, 20)))
    sizes = [case["batch"] for case in cases]
    assert sizes[:3] == [1, 20, 4]
    assert 2 in sizes
    assert 16 in sizes
    assert any(size % 2 and size > 1 for size in sizes)
    assert not notes


def test_dimensions_are_told_apart() -> None:
    cases, _ = parity_cases(_interface(height=Dim(16, 32, 64), width=Dim(16, 32, 64)))
    assert any(case["height"] != case["width"] and case["height"] % 2 and case["width"] % 2 for case in cases)
    assert {"height": 16, "width": 64} in cases
    assert {"height": 64, "width": 16} in cases


@st.composite
def _dims(draw: st.DrawFn) -> Dim:
    low, opt, high = sorted(draw(st.lists(st.integers(1, 5000), min_size=3, max_size=3)))
    return Dim(low, opt, high)


@given(st.dictionaries(st.sampled_from(["batch", "a", "b"]), _dims(), min_size=1))
def test_cases_are_few_distinct_and_allowed(dims: dict[str, Dim]) -> None:
    interface = _interface(**dims)
    cases, notes = parity_cases(interface)
    assert 1 <= len(cases) <= 8
    assert all(case not in cases[:index] for index, case in enumerate(cases))
    assert all(case in cases for case in required_cases(interface))
    smallest = math.prod(dim.min for dim in dims.values())
    for case in cases:
        assert all(dims[name].min <= size <= dims[name].max for name, size in case.items())
        assert math.prod(shape_at(interface.inputs[0], case)) <= max(2**24, smallest)
    assert bool(notes) == (math.prod(dim.max for dim in dims.values()) > 2**24 and len(notes) > 0)


def test_huge_sizes_are_made_smaller_and_that_is_said() -> None:
    image = Tensor("x", "float32", ("batch", 3, 1024, 1024))
    cases, notes = parity_cases(Interface((image,), (), {"batch": Dim(1, 4, 64)}))
    assert max(case["batch"] for case in cases) == 4
    assert notes[0] == "batch 64 → 4: above 16777216 input elements"
