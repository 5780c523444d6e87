from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from optkit.core.errors import StepFailed
from optkit.core.interface import Dim, Interface, Tensor
from optkit.passes.observed import observe_outputs, shape_conflict, with_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

INTERFACE = Interface(
    (Tensor("x", "float32", ("batch", "n")),),
    tuple(Tensor(name, "float32", ("batch", "...")) for name in ("same", "twice", "both", "fixed", "count")),
    {"batch": Dim(1, 4, 8), "n": Dim(2, 4, 9)},
)


class Shapes:
    """A session whose outputs depend on the sizes in known ways."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        rows, columns = inputs["x"].shape
        return {
            "same": np.zeros((rows, columns)),
            "twice": np.zeros((rows, 2 * columns)),
            "both": np.zeros((rows * columns, 3)),
            "fixed": np.zeros((rows, 4)),
            "count": np.zeros((), np.int64),
        }


def test_axes_take_the_dimension_that_they_follow() -> None:
    outputs = {tensor.name: tensor for tensor in observe_outputs(Shapes(), INTERFACE).outputs}
    assert outputs["same"].shape == ("batch", "n")  # although both are 4 where they are tuned
    assert outputs["twice"].shape == ("batch", "twice_1")
    assert outputs["both"].shape == ("both_0", 3)
    assert outputs["fixed"].shape == ("batch", 4)
    assert (outputs["count"].shape, outputs["count"].dtype) == ((), "int64")


def test_a_dimension_of_one_size_keeps_its_declared_name() -> None:
    tensors = (Tensor("same", "float32", ("batch", "n")),)
    interface = Interface(INTERFACE.inputs, tensors, {"batch": Dim(4, 4, 4), "n": Dim(2, 4, 9)})
    assert observe_outputs(Shapes(), interface).outputs[0].shape == ("batch", "n")


class Padded:
    """Gives 8 columns at the sizes that are tuned for and smallest, and more at others; takes no 9."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        rows, columns = inputs["x"].shape
        if columns == 9:
            raise StepFailed("not nine")
        return {"same": np.zeros((rows, -(-columns // 8) * 8))}


@pytest.mark.parametrize(("longest", "axis"), [(30, "same_1"), (12, 8)])
def test_a_size_that_two_sizes_share_is_not_taken_for_fixed(longest: int, axis: int | str) -> None:
    interface = Interface(INTERFACE.inputs, (), {"batch": Dim(1, 4, 8), "n": Dim(2, 5, longest)})
    assert observe_outputs(Padded(), interface).outputs[0].shape == ("batch", axis)


def test_another_number_of_axes_is_refused() -> None:
    first, second = {"y": (1,)}, {"y": (2, 1)}
    with pytest.raises(StepFailed, match=r"output 'y' has shape .* at another size of"):
        with_shapes(INTERFACE, {"y": "float32"}, [({"n": 1}, first), ({"n": 2}, second)])


@pytest.mark.parametrize(
    ("declared", "conflict"),
    [
        (("batch", "..."), False),
        (("batch", 3, "..."), False),
        (("batch", 4, "..."), True),
        (("batch", 3, 5), False),
        (("batch", 3), True),
        ((1, 3, 5), True),
    ],
)
def test_declared_shapes_are_compared(declared: tuple[int | str, ...], *, conflict: bool) -> None:
    found = shape_conflict(Tensor("y", "float32", declared), Tensor("y", "float32", ("batch", 3, 5)))
    assert bool(found) is conflict
