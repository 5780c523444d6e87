from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from safetensors.torch import save_file

from tests.cli.project import Project, onnx_model, weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.command import Optkit
    from tests.cli.outcome import Attempt


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_missing_weights(attempt: Attempt, pytorch: Project) -> None:
    (pytorch.folder / "weights.safetensors").rename(pytorch.folder / "weight.safetensors")
    said = attempt(pytorch, 2)
    assert ":4:12  model.weights  no such file" in said
    assert "did you mean 'weight.safetensors'?" in said


def test_weights_of_other_shapes_are_named(attempt: Attempt, pytorch: Project) -> None:
    tensors = {**weights(), "second.weight": torch.zeros(5, 16), "third.bias": torch.zeros(2)}
    del tensors["first.bias"]
    save_file(tensors, pytorch.folder / "weights.safetensors")
    said = attempt(pytorch, 2)
    assert "export: weights.safetensors does not fit the model:" in said
    assert "first.bias is missing" in said
    assert "second.weight has shape (5, 16), the model wants (4, 16)" in said
    assert "third.bias is not in the model" in said


@pytest.mark.parametrize("content", [b"\x10\0\0\0\0\0\0\0{", b"\xff" * 64], ids=["truncated", "noise"])
def test_damaged_weights(content: bytes, attempt: Attempt, pytorch: Project) -> None:
    (pytorch.folder / "weights.safetensors").write_bytes(content)
    assert "weights.safetensors is damaged or no safetensors file" in attempt(pytorch, 2)


def test_a_pickle_that_runs_code_is_refused_and_not_run(attempt: Attempt, pytorch: Project, tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    with (pytorch.folder / "weights.pt").open("wb") as file:
        torch.save({"first.weight": Payload(owned)}, file)
    pytorch.edit(("weights.safetensors", "weights.pt"))
    said = attempt(pytorch, 2)
    assert "weights.pt was refused and not run: it asks for " in said
    assert "save it as safetensors" in said
    assert not owned.exists()
    # The payload itself works.
    pickle.loads(pickle.dumps(Payload(owned)))  # noqa: S301  # our own
    assert owned.exists()


def test_a_plain_pickle_of_tensors_is_read(optkit: Optkit, pytorch: Project) -> None:
    torch.save(weights(), pytorch.folder / "weights.pt")
    (pytorch.folder / "pickled.yaml").write_text(
        pytorch.recipe.read_text().replace("weights.safetensors", "weights.pt")
    )
    found = optkit("compare", pytorch.recipe, pytorch.folder / "pickled.yaml", "--json").json
    assert found["outputs"]["logits"]["max_abs"] == 0


def exported(project: Project, trust: str) -> None:
    """Makes the project start from a .pt2 file."""
    project.edit(
        ("factory: model.py:build", "program: model.pt2"), ("  weights: weights.safetensors\n", f"  trust: {trust}\n")
    )


def test_an_exported_program_needs_trust(attempt: Attempt, pytorch: Project) -> None:
    (pytorch.folder / "model.pt2").write_bytes(b"")
    exported(pytorch, "false")
    said = attempt(pytorch, 2)
    assert "model.program  loading a .pt2 can run code  (add `trust: true` if you trust who made it)" in said


def test_a_damaged_exported_program(attempt: Attempt, pytorch: Project) -> None:
    (pytorch.folder / "model.pt2").write_bytes(b"PK\x03\x04" + bytes(100))
    exported(pytorch, "true")
    assert "model.pt2 is missing, truncated or no exported program" in attempt(pytorch, 2)


FACTORIES = {
    "raises": (
        ("return Tiny(classes)", "raise ValueError(f'no {classes} classes')"),
        5,
        "export: model.py:18 in build: ValueError: no 4 classes",
    ),
    "raises in forward": (
        ("torch.relu(self.first(x))", "torch.relu(self.first(x.T))"),
        5,
        "export: model.py:14 in forward: RuntimeError",
    ),
    "syntax error": (("def build(", "def build(("), 5, "export: model.py:17: SyntaxError"),
    "not there": (("def build(", "def builds("), 2, "export: model.py has no function or class 'build'"),
    "absent import": (
        ("import torch\n", "import torch, nonesuch\n"),
        4,
        "export: model.py:3: ModuleNotFoundError: No module named 'nonesuch'",
    ),
    "dies": (
        ("return Tiny(classes)", "import os; os.abort()"),
        5,
        "export: running the model in PyTorch: its process died of SIGABRT",
    ),
}


@pytest.mark.parametrize(("change", "code", "expected"), FACTORIES.values(), ids=FACTORIES)
def test_a_factory_that_does_not_work(
    change: tuple[str, str], code: int, expected: str, attempt: Attempt, pytorch: Project
) -> None:
    pytorch.edit(change, file="model.py")
    assert expected in attempt(pytorch, code)


def test_a_model_without_a_batch_axis(attempt: Attempt, pytorch: Project) -> None:
    pytorch.edit(("[batch, 8]", "[8]"), ("  dims: {batch: {min: 1, opt: 4, max: 16}}\n", ""))
    assert "input 'x' has shape [8], which has no axis of samples" in attempt(pytorch, 2)


def test_nan_outputs(attempt: Attempt, pytorch: Project) -> None:
    save_file({**weights(), "second.bias": torch.full((4,), torch.nan)}, pytorch.folder / "weights.safetensors")
    assert "export: output 'logits' holds NaN in PyTorch already" in attempt(pytorch, 5)


def test_nan_outputs_of_an_onnx_file(attempt: Attempt, project: Project) -> None:
    model = onnx_model()
    model.graph.initializer[-1].raw_data = b"\xff\xff\xff\x7f" * 4
    onnx.save(model, project.folder / "model.onnx")
    assert "import: output 'logits' holds NaN in ONNX Runtime already" in attempt(project, 5)


def test_an_interface_that_names_other_outputs(attempt: Attempt, pytorch: Project) -> None:
    pytorch.edit(("outputs: [logits]", "outputs: [logits, hidden]"))
    assert "the model returned 1 tensors ((4, 4)), the interface names 2: logits, hidden" in attempt(pytorch, 5)


def escaping(location: str) -> onnx.ModelProto:
    """Returns the model with a tensor that lies elsewhere."""
    model = onnx_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return model


def train(graph: onnx.GraphProto) -> None:
    """Puts a Dropout that drops between the layers."""
    ratio, mode = np.array(0.5, np.float32), np.ones((), bool)
    graph.node[1].op_type = "Dropout"
    graph.node[1].input.extend(["ratio", "mode"])
    graph.initializer.extend([numpy_helper.from_array(ratio, "ratio"), numpy_helper.from_array(mode, "mode")])


def changed(change: Callable[[onnx.GraphProto], object]) -> bytes:
    """Returns the model's file after a change to its graph."""
    model = onnx_model()
    change(model.graph)
    content: bytes = model.SerializeToString()
    return content


ONNX_FILES = {
    "empty": (b"", "model.onnx: not an ONNX file, or truncated"),
    "noise": (b"\xff" * 100, "model.onnx: not an ONNX file, or truncated"),
    "truncated": (onnx_model().SerializeToString()[:-400], "model.onnx: "),
    "escaping": (
        escaping("../secret").SerializeToString(),
        "external data of tensor first_weight lies at '../secret', outside the model's folder",
    ),
    "absolute": (escaping("/etc/passwd").SerializeToString(), "lies at '/etc/passwd', outside the model's folder"),
    "absent data": (escaping("weights.bin").SerializeToString(), "is missing: no file 'weights.bin'"),
    "cycle": (changed(lambda graph: graph.node[0].input.__setitem__(0, "b")), "the graph has a cycle"),
    "undefined": (changed(lambda graph: graph.node[1].input.__setitem__(0, "c")), "reads 'c', which nothing computes"),
    "weight twice": (changed(lambda graph: graph.initializer.append(graph.initializer[0])), "two weights are called"),
    "weight of another size": (
        changed(lambda graph: graph.initializer[0].dims.append(2)),
        "tensor first_weight declares shape [16, 8, 2] but holds other data",
    ),
    "training mode": (changed(train), "node 'between' is a Dropout in training mode"),
    "dtype that does not fit": (
        changed(lambda graph: setattr(graph.input[0].type.tensor_type, "elem_type", TensorProto.INT64)),
        "ONNX Runtime refuses the graph: ",
    ),
    "unknown operator": (
        onnx_model(op_type="Relo").SerializeToString(),
        "node 'between' uses the operator Relo, which is not in operator set 18",
    ),
}


@pytest.mark.parametrize(("content", "expected"), ONNX_FILES.values(), ids=ONNX_FILES)
def test_an_onnx_file_that_cannot_be_trusted(content: bytes, expected: str, attempt: Attempt, project: Project) -> None:
    (project.folder.parent / "secret").write_bytes(bytes(1000))
    (project.folder / "model.onnx").write_bytes(content)
    assert expected in attempt(project, 2)


def test_external_data_behind_a_link(attempt: Attempt, project: Project) -> None:
    (project.folder.parent / "secret").write_bytes(bytes(1000))
    (project.folder / "weights.bin").symlink_to("../secret")
    onnx.save(escaping("weights.bin"), project.folder / "model.onnx")
    assert "at 'weights.bin' is a link that leaves the folder" in attempt(project, 2)


DECLARED = {
    "input": (
        "inputs: {y: {dtype: float32, shape: [batch, 8]}}",
        "import: model.onnx: the graph has no input called 'y'",
    ),
    "dtype": ("inputs: {x: {dtype: int64, shape: [batch, 8]}}", "input x is float32 in the graph, int64 in the recipe"),
    "size": ("inputs: {x: {dtype: float32, shape: [batch, 9]}}", "axis 1 is fixed at 8 in the graph, 9 in the recipe"),
    "output": ("outputs: [logit]", "the graph has no output called 'logit'"),
}


@pytest.mark.parametrize(("declaration", "expected"), DECLARED.values(), ids=DECLARED)
def test_a_declaration_that_the_onnx_file_contradicts(
    declaration: str, expected: str, attempt: Attempt, project: Project
) -> None:
    project.edit(("  dims:", f"  {declaration}\n  dims:"))
    assert expected in attempt(project, 2)


def test_a_dimension_that_the_onnx_file_does_not_have(attempt: Attempt, project: Project) -> None:
    project.edit(("dims: {batch", "dims: {bach"))
    assert "no input has a dimension called bach" in attempt(project, 2)
