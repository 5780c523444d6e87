"""Seven ways in which PyTorch's exporter is wrong without a word: each ends in a right graph or in a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
import torch

from optkit.core import interface as interfaces
from optkit.core.errors import StepFailed
from optkit.core.interface import Dim, Interface, Tensor
from tests.passes import user_models
from tests.passes.exports import assert_same, export, operators

if TYPE_CHECKING:
    from optkit.core.passes import Work

pytestmark = pytest.mark.heavy
Source = Callable[..., Path]
SMALL = Dim(1, 2, 3)


def test_branch_on_a_size_is_refused(source: Source, work: Work) -> None:
    with pytest.raises(StepFailed, match=r"the model branches on batch(.|\n)*model.py:\d+: Python decides"):
        export(source("BranchOnSize"), work)
    assert not list(work.out.iterdir())


def test_branch_on_a_value_names_the_line(source: Source, work: Work) -> None:
    lines = (Path(__file__).parent / "user_models.py").read_text().splitlines()
    line = lines.index("        if x.sum() > 3:") + 1
    with pytest.raises(StepFailed, match=f"model.py:{line}: the model's control flow depends"):
        export(source("BranchOnValue"), work)


def test_adaptive_pool_over_dynamic_sizes_is_refused(source: Source, work: Work) -> None:
    folder = source(
        "AdaptivePool", Tensor("x", "float32", ("batch", 2, "height", "width")),
        batch=SMALL, height=Dim(6, 9, 20), width=Dim(6, 12, 20),
    )  # fmt: skip
    with pytest.raises(StepFailed, match=r"no parity at batch=1, height=6, width=6: output 'y' has shape"):
        export(folder, work)
    assert not list(work.out.iterdir())


def test_adaptive_pool_over_fixed_sizes_is_right(source: Source, work: Work) -> None:
    folder = source("AdaptivePool", Tensor("x", "float32", ("batch", 2, 16, 20)), batch=SMALL)
    assert export(folder, work).outputs[0].shape == ("batch", 2, 3, 3)
    assert_same(folder, work.out, {"batch": 3}, tolerance=1e-6)


def test_padding_to_a_multiple_is_right_where_nothing_is_to_pad(source: Source, work: Work) -> None:
    folder = source("PadToEight", Tensor("x", "float32", ("batch", "n")), batch=SMALL, n=Dim(1, 5, 16))
    assert export(folder, work).outputs[0].shape == ("batch", "y_1")  # although 1 and 5 both become 8
    assert_same(folder, work.out, {"batch": 2, "n": 16}, tolerance=0)
    assert_same(folder, work.out, {"batch": 2, "n": 9}, tolerance=0)


def test_padding_that_python_decides_on_is_refused(source: Source, work: Work) -> None:
    folder = source("PadIfNeeded", Tensor("x", "float32", ("batch", "n")), batch=SMALL, n=Dim(1, 5, 16))
    with pytest.raises(StepFailed, match=r"no parity at batch=\d, n=(8|16): (.|\n)*model.py:\d+: Python decides"):
        export(folder, work)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrence_twice_in_one_process_keeps_its_axes(kind: str, source: Source, works: Callable[[], Work]) -> None:
    folder = source(
        "Recurrent", Tensor("x", "float32", ("batch", "seq", 4)), outputs=("logits", "states"),
        batch=Dim(1, 2, 4), seq=Dim(1, 5, 12),
    )  # fmt: skip
    document = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**document, "arguments": {"kind": kind}}))
    for _ in range(2):
        work = works()
        assert export(folder, work).outputs[1].shape == ("batch", "seq", 16)
        assert declared(work.out)["states"] == ["batch", "seq", 16]
        assert_same(folder, work.out, {"batch": 3, "seq": 11}, tolerance=1e-5)


def declared(out: Path) -> dict[str, list[int | str]]:
    """Returns the shapes of the outputs as the file itself tells them."""
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    return {output.name: output.shape for output in session.get_outputs()}


def test_two_inputs_of_one_shape_are_not_taken_for_one(source: Source, work: Work) -> None:
    tensors = (Tensor("x", "float32", ("batch", 4)), Tensor("y", "float32", ("batch", 4)))
    folder = source("Difference", *tensors, outputs=("z",))
    export(folder, work)
    assert_same(folder, work.out, {"batch": 3}, tolerance=1e-6)


@pytest.mark.parametrize("factory", ["Training", "StaysInTraining"])
def test_module_in_training_mode_is_exported_for_inference(factory: str, source: Source, work: Work) -> None:
    folder = source(factory)
    export(folder, work)
    assert_same(folder, work.out, {"batch": 3}, tolerance=1e-5)
    assert "Dropout" not in operators(work.out)


def program(folder: Path, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], *, dynamic: bool = True) -> Path:
    """Writes what somebody else exported, with as many inputs of shape [batch, 4]."""
    shapes = tuple({0: torch.export.Dim("n", min=2, max=8)} for _ in inputs) if dynamic else None
    folder.mkdir()
    torch.export.save(torch.export.export(module, inputs, dynamic_shapes=shapes), folder / "model.pt2")
    tensors = tuple(Tensor(name, "float32", ("batch", 4)) for name in "xy"[: len(inputs)])
    interfaces.write(folder, Interface(tensors, (Tensor("z", "float32", ("batch", "...")),), {"batch": Dim(2, 4, 8)}))
    return folder


def test_a_program_exported_from_one_tensor_given_twice_is_right(work: Work, tmp_path: Path) -> None:
    both = torch.ones(4, 4)
    folder = program(tmp_path / "program", user_models.Difference(), (both, both))
    export(folder, work)
    assert_same(folder, work.out, {"batch": 3}, tolerance=1e-6)
    random = np.random.default_rng(0)
    x, y = (random.standard_normal((3, 4)).astype(np.float32) for _ in range(2))
    session = onnxruntime.InferenceSession(work.out / "model.onnx", providers=["CPUExecutionProvider"])
    assert not np.allclose(session.run(None, {"x": x, "y": y})[0], session.run(None, {"x": x, "y": x})[0])


def test_a_program_of_one_size_is_refused_for_several(work: Work, tmp_path: Path) -> None:
    folder = program(tmp_path / "program", user_models.Linear(), (torch.ones(4, 4),), dynamic=False)
    with pytest.raises(StepFailed, match="the exported program does not take the sizes that the recipe declares"):
        export(folder, work)


def test_a_program_that_kept_its_dropout_is_refused(work: Work, tmp_path: Path) -> None:
    folder = program(tmp_path / "program", user_models.AlwaysDropping(), (torch.ones(4, 4),))
    with pytest.raises(StepFailed, match="differs from run to run"):
        export(folder, work)
