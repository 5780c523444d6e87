from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.core.errors import StepFailed
from optkit.core.interface import Dim, Interface, Tensor
from optkit.measure.parity import measure_parity
from optkit.measure.recorded import Recorded, record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INTERFACE = Interface((Tensor("x", "float32", ("batch", 2)),), (), {"batch": Dim(1, 4, 8)})


@dataclass
class Doubles:
    """A session that counts how often it runs, and takes no batch of `refused` samples."""

    refused: int = 0
    runs: list[int] = field(default_factory=list)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.runs.append(len(inputs["x"]))
        if len(inputs["x"]) == self.refused:
            raise StepFailed("not so many")
        return {"y": 2 * inputs["x"], "n": np.array(len(inputs["x"]))}


def test_a_recording_answers_as_the_model_did_without_running_it(tmp_path: Path) -> None:
    model = Doubles()
    recorded = record(model, INTERFACE, tmp_path)
    asked = list(model.runs)
    report = measure_parity(recorded, Doubles(), INTERFACE)
    assert model.runs == asked == [1, 8, 4, 5, 2]
    assert [error.max_abs for case in report.cases for error in case.errors] == [0.0] * 10
    assert next((sizes["batch"], shapes) for sizes, shapes in recorded.seen) == (1, {"y": (1, 2), "n": ()})


def test_samples_are_recorded_too_and_tell_nothing_about_sizes(tmp_path: Path) -> None:
    sample = {"x": np.full((3, 2), 7, np.float32)}
    recorded = record(Doubles(), INTERFACE, tmp_path, [sample])
    np.testing.assert_array_equal(recorded.run(sample)["y"], np.full((3, 2), 14))
    assert len(recorded.seen) == 5


def test_what_the_model_refused_is_refused_again(tmp_path: Path) -> None:
    recorded = record(Doubles(refused=5), INTERFACE, tmp_path)
    report = measure_parity(recorded, Doubles(), INTERFACE)
    assert report.notes == ("skipped batch=5: the reference does not run there (not so many)",)
    assert len(recorded.seen) == 4


def test_a_recording_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    recorded = record(Doubles(refused=5), INTERFACE, tmp_path)
    recorded.save()
    again = Recorded.load(tmp_path)
    assert again.seen == recorded.seen
    report = measure_parity(again, Doubles(), INTERFACE)
    assert report.notes == ("skipped batch=5: the reference does not run there (not so many)",)
    assert [error.max_abs for case in report.cases for error in case.errors] == [0.0] * 8


def test_sizes_that_are_promised_must_run(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="the reference does not run at batch=8: not so many"):
        record(Doubles(refused=8), INTERFACE, tmp_path)


def test_other_inputs_are_not_answered(tmp_path: Path) -> None:
    recorded = record(Doubles(), INTERFACE, tmp_path)
    with pytest.raises(StepFailed, match="has not run on these inputs"):
        recorded.run({"x": np.zeros((4, 2), np.float32)})
