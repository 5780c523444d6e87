from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from optkit.quant.cost import COST_MODELS, saving
from optkit.quant.profiles import PROFILES

counts = st.integers(0, 10**12)


def test_every_profile_has_a_cost_model() -> None:
    assert COST_MODELS.keys() == PROFILES.keys()
    for name, profile in PROFILES.items():
        assert profile.weighted <= COST_MODELS[name].speedups.keys()


@given(macs=counts, elements=counts, more=st.integers(1, 10**9), target=st.sampled_from(sorted(COST_MODELS)))
def test_more_work_saves_more(macs: int, elements: int, more: int, target: str) -> None:
    model = COST_MODELS[target]
    base = saving(model, "Conv", macs, elements)
    assert 1 <= base <= max(1.0, macs + elements * model.per_element)
    assert saving(model, "Conv", macs + more, elements) >= base
    assert saving(model, "Conv", macs, elements + more) >= base


def test_what_multiplies_nothing_gains_by_its_elements_only() -> None:
    model = COST_MODELS["onnxruntime-cpu"]
    assert saving(model, "Add", 0, 100) == 100 * model.per_element
    assert saving(model, "Conv", 2_700_000, 0) == 1_700_000
