from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from optkit.core.errors import StepFailed
from optkit.core.interface import Dim, Interface, Tensor
from optkit.measure.parity import check_parity, parity_inputs
from optkit.measure.recorded import RecordedSession

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

TENSORS = Tensor("x", "float32", ("batch", 3)), Tensor("y", "float32", ("batch", 3))
INTERFACE = Interface(TENSORS[:1], TENSORS[1:], {"batch": Dim(1, 4, 9)})


@dataclass
class Doubling:
    """Doubles, up to a size, and counts how often it is asked."""

    factor: float = 2
    largest: int = 100
    calls: list[int] = field(default_factory=list)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.calls.append(len(inputs["x"]))
        if len(inputs["x"]) > self.largest:
            raise StepFailed("too large")
        return {"y": inputs["x"] * np.float32(self.factor)}


def test_answers_are_those_of_the_session_that_is_over() -> None:
    session = Doubling()
    recorded = RecordedSession(session, INTERFACE)
    asked = list(session.calls)
    report = check_parity(recorded, Doubling(), INTERFACE, tolerance=0)
    assert len(report.cases) == len(asked) > 2
    assert session.calls == asked


def test_a_difference_is_still_seen() -> None:
    with pytest.raises(StepFailed, match="output 'y' is off by"):
        check_parity(RecordedSession(Doubling(), INTERFACE), Doubling(2.1), INTERFACE, tolerance=1e-3)


def test_what_the_session_refused_is_remembered() -> None:
    with pytest.raises(StepFailed, match=r"the reference does not run at batch=9: too large"):
        check_parity(RecordedSession(Doubling(largest=8), INTERFACE), Doubling(), INTERFACE, tolerance=0)


def test_other_questions_are_refused() -> None:
    recorded = RecordedSession(Doubling(), INTERFACE)
    inputs = next(parity_inputs(INTERFACE))
    with pytest.raises(StepFailed, match="were not recorded"):
        recorded.run({"x": inputs["x"] + 1})
