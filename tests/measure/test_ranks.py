from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from optkit.measure.ranks import mid_ranks, weights_by_level


@given(pairs=st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4)), min_size=1, max_size=12))
def test_ranks_are_those_of_repeated_values(pairs: list[tuple[int, int]]) -> None:
    values, times = (np.array(column, float) for column in zip(*pairs, strict=True))
    repeated = np.repeat(values, times.astype(int))
    expected = dict(zip(repeated.tolist(), rankdata(repeated).tolist(), strict=True))
    ranks = mid_ranks(values, np.stack([times, np.ones_like(times)], axis=1))
    assert [rank for rank, count in zip(ranks[:, 0].tolist(), times, strict=True) if count] == [
        expected[value] for value, count in zip(values.tolist(), times, strict=True) if count
    ]
    assert ranks[:, 1].tolist() == rankdata(values).tolist()


def test_weights_at_and_between_the_levels_of_positives() -> None:
    scores, truth = np.array([3.0, 1.0, 2.0, 3.0, 1.0, 4.0, 3.0]), np.array([1, 1, 0, 0, 0, 0, 1], bool)
    positive, equal, between = weights_by_level(scores, truth, np.array([[1, 2, 4, 8, 16, 32, 64.0]]).T)
    assert positive[:, 0].tolist() == [2, 65]
    assert equal[:, 0].tolist() == [16, 8]
    assert between[:, 0].tolist() == [0, 4, 32]
