"""The search for the layers that stay float, on made-up layers whose noise adds up."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from optkit.quant.search import MOST_EVALUATIONS, Layer, find_floats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

noises = st.floats(1e-9, 1e3)
costs = st.floats(0.1, 100.0)
margins = st.one_of(st.floats(-1.0, 1.0), st.just(math.nan), st.just(math.inf))


@st.composite
def layer_lists(draw: st.DrawFn, most: int) -> list[Layer]:
    numbers = draw(st.lists(st.tuples(noises, costs), min_size=1, max_size=most))
    return [Layer(f"l{index}", *each) for index, each in enumerate(numbers)]


def noise_of(layers: Sequence[Layer], floats: frozenset[str]) -> float:
    return math.fsum(layer.noise for layer in layers if layer.name not in floats)


def cost_of(layers: Sequence[Layer], floats: frozenset[str]) -> float:
    return sum(layer.cost for layer in layers if layer.name in floats)


def additive(layers: Sequence[Layer], limit: float) -> Callable[[frozenset[str]], float]:
    return lambda floats: noise_of(layers, floats) - limit


def best_cost(layers: Sequence[Layer], limit: float) -> float:
    """Tries every setting that leaves a layer in int8."""
    names = [layer.name for layer in layers]
    subsets = (frozenset(chosen) for size in range(len(names)) for chosen in itertools.combinations(names, size))
    return min((cost_of(layers, each) for each in subsets if noise_of(layers, each) <= limit), default=math.inf)


@given(layers=layer_lists(most=60), answers=st.data(), most=st.integers(1, 15))
def test_a_miss_is_never_returned_whatever_the_evaluations_say(
    layers: list[Layer], answers: st.DataObject, most: int
) -> None:
    given_answers: dict[frozenset[str], float] = {}

    def evaluate(floats: frozenset[str]) -> float:
        assert floats not in given_answers, "evaluated twice"
        given_answers[floats] = answers.draw(margins)
        return given_answers[floats]

    found = find_floats(layers, evaluate, most)
    assert found.excess == given_answers or any(math.isnan(excess) for excess in given_answers.values())
    assert len(given_answers) <= most
    if found.floats is not None:
        assert given_answers[found.floats] <= 0
        assert len(found.floats) < len(layers)
    else:
        assert not any(excess <= 0 for excess in given_answers.values())
        assert found.nearest() in given_answers


@given(layers=layer_lists(most=300), limit=noises)
def test_evaluations_are_few_however_many_layers(layers: list[Layer], limit: float) -> None:
    found = find_floats(layers, additive(layers, limit))
    assert len(found.excess) <= MOST_EVALUATIONS
    quietest = min(layer.noise for layer in layers)
    if limit >= noise_of(layers, frozenset()) or (len(layers) > 1 and limit >= quietest):
        assert found.floats is not None
    if found.floats is not None:
        assert noise_of(layers, found.floats) <= limit


@given(layers=layer_lists(most=9), limit=noises)
def test_what_is_found_is_within_one_layer_of_the_best(layers: list[Layer], limit: float) -> None:
    found = find_floats(layers, additive(layers, limit), most=100)
    best = best_cost(layers, limit)
    if found.floats is None:
        assert best == math.inf
    else:
        # The fractional relaxation bounds the best from below by the order's start without its last layer.
        largest = max(layer.cost for layer in layers)
        assert cost_of(layers, found.floats) <= best + largest or len(found.floats) == len(layers) - 1


def test_all_in_int8_takes_one_evaluation() -> None:
    found = find_floats([Layer("a", 0.1, 1.0), Layer("b", 0.2, 1.0)], lambda _: -1.0)
    assert found.floats == frozenset()
    assert len(found.excess) == 1


def test_the_loud_layer_stays_float_and_no_other() -> None:
    layers = [Layer(f"l{index}", 1e-4, 10.0) for index in range(50)] + [Layer("loud", 5.0, 1e4)]
    found = find_floats(layers, additive(layers, 0.01))
    assert found.floats == frozenset({"loud"})
    assert len(found.excess) <= 6


def test_what_the_order_took_along_is_given_back() -> None:
    # The two cheap ones come first in the order; the third alone would do.
    layers = [Layer("a", 1.0, 0.1), Layer("b", 1.0, 0.1), Layer("c", 10.0, 5.0), Layer("d", 0.01, 5.0)]
    found = find_floats(layers, additive(layers, 2.5))
    assert found.floats == frozenset({"c"})


def test_a_budget_that_nothing_holds_names_the_nearest() -> None:
    layers = [Layer("a", 1.0, 1.0), Layer("b", 2.0, 1.0), Layer("c", 3.0, 1.0)]
    found = find_floats(layers, additive(layers, 0.5))
    assert found.floats is None
    assert found.nearest() == frozenset({"b", "c"})
    assert found.excess[found.nearest()] == 0.5


def test_a_quiet_layer_that_the_order_puts_first_is_found() -> None:
    # Leaving "cheap" in float is worth it first, though it is the only one that could run in int8.
    layers = [Layer("cheap", 1.0, 0.01), Layer("dear", 2.0, 100.0)]
    found = find_floats(layers, additive(layers, 1.5))
    assert found.floats == frozenset({"dear"})


def test_layers_without_a_finite_noise_come_first() -> None:
    layers = [Layer("a", 0.1, 1.0), Layer("broken", math.nan, 50.0), Layer("loud", math.inf, 50.0)]
    found = find_floats(layers, lambda floats: 0.0 if {"broken", "loud"} <= floats else math.nan)
    assert found.floats == frozenset({"broken", "loud"})
