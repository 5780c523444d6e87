from __future__ import annotations

import pytest

from optkit.core.interface import Tensor, assumed_shape


@pytest.mark.parametrize(
    ("shapes", "assumed"),
    [
        ([("batch", 3)], ("batch", "...")),
        ([(2, "batch", 3), ("time",)], ("batch", "...")),
        ([(1, 3, 16)], ("...",)),
        ([], ("...",)),
    ],
)
def test_outputs_hold_samples_first_if_inputs_have_samples(
    shapes: list[tuple[int | str, ...]], assumed: tuple[str, ...]
) -> None:
    assert assumed_shape([Tensor("x", "float32", shape) for shape in shapes]) == assumed
