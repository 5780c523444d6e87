from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.core.errors import UsageError
from optkit.core.events import StepStarted
from optkit.workflow.optimize import optimize
from optkit.workflow.request import Request

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.events import Event

RECIPE = """\
name: net
model: {factory: model.py:build, inputs: {x: {dtype: float32, shape: [4, 8]}}, outputs: [y]}
data: {evaluation: {dataset: data.npz}}
metrics: {same: {kind: cosine, output: y}}
steps: [export]
gates: {same: {min: 0.9}}
"""


def test_a_model_without_samples_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "model.py").write_text("def build(): ...\n")
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 8), np.float32))
    events: list[Event] = []
    with pytest.raises(UsageError, match=r"input 'x' has shape \[4, 8\], which has no axis of samples"):
        events += optimize(Request(tmp_path / "recipe.yaml", tmp_path / "out", (), tmp_path / "store"))
    assert not [event for event in events if isinstance(event, StepStarted)]
