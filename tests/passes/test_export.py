from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from optkit.core import interface as interfaces
from optkit.core.artifact import digest_tree
from optkit.core.errors import StepFailed
from optkit.core.interface import Dim, Interface, Tensor
from optkit.graph.clean import SCOPE, SOURCE
from optkit.measure.feeding import made_up_inputs
from optkit.passes.capture import example_inputs
from optkit.passes.export import Export
from optkit.runtimes import RUNTIMES

if TYPE_CHECKING:
    from optkit.core.passes import Work

pytestmark = pytest.mark.heavy
Source = Callable[..., Path]


def export(folder: Path, work: Work) -> Interface:
    Export().run({"model": folder}, work)
    return interfaces.read(work.out)


def operators(folder: Path) -> list[str]:
    return [node.op_type for node in onnx.load(folder / "model.onnx").graph.node]


def assert_same(folder: Path, out: Path, sizes: dict[str, int], tolerance: float) -> None:
    interface = interfaces.read(out)
    inputs = made_up_inputs(interface, sizes, seed=5)
    expected = RUNTIMES["torch"].open(folder, 1).run(inputs)
    actual = RUNTIMES["onnxruntime"].open(out, 1).run(inputs)
    assert list(actual) == [tensor.name for tensor in interface.outputs]
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, atol=tolerance)


def test_interface_keeps_names_and_learns_shapes(exported: Callable[[str], Path]) -> None:
    interface = interfaces.read(exported("encoder"))
    assert [tensor.name for tensor in interface.inputs] == ["ids", "mask"]
    assert [(tensor.name, tensor.shape) for tensor in interface.outputs] == [
        ("logits", ("batch", 3)),
        ("hidden", ("batch", "seq", 16)),
    ]


def test_nodes_keep_source_line_and_scope_only(exported: Callable[[str], Path]) -> None:
    model = onnx.load(exported("cnn") / "model.onnx")
    conv = [node for node in model.graph.node if node.op_type == "Conv"][-1]
    props = {prop.key: prop.value for prop in conv.metadata_props}
    assert set(props) == {SOURCE, SCOPE}
    assert props[SCOPE] == "second"
    assert props[SOURCE].startswith("model.py:")
    text = (exported("cnn") / "model.onnx").read_bytes()
    assert str(exported("cnn").parents[1]).encode() not in text
    assert b"site-packages" not in text
    assert b"Traceback" not in text


def test_recurrent_layer_stays_one_operator_with_a_dynamic_sequence(exported: Callable[[str], Path]) -> None:
    out = exported("recurrent")
    assert operators(out).count("GRU") == 1
    assert interfaces.read(out).outputs[1].shape == ("batch", "seq", 16)


def test_lstm_twice_in_one_process_keeps_its_axes(source: Source, works: Callable[[], Work]) -> None:
    folder = source(
        "Recurrent", Tensor("x", "float32", ("batch", "seq", 4)), outputs=("logits", "states"),
        batch=Dim(1, 2, 4), seq=Dim(1, 5, 12),
    )  # fmt: skip
    document = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**document, "arguments": {"kind": "LSTM"}}))
    for _ in range(2):
        work = works()
        assert export(folder, work).outputs[1].shape == ("batch", "seq", 16)
        assert_same(folder, work.out, {"batch": 3, "seq": 11}, tolerance=1e-5)


def test_branch_on_a_size_is_refused(source: Source, work: Work) -> None:
    with pytest.raises(StepFailed, match=r"the model branches on batch(.|\n)*model.py:\d+: Python decides"):
        export(source("BranchOnSize"), work)
    assert not list(work.out.iterdir())


def test_branch_on_a_value_names_the_line(source: Source, work: Work) -> None:
    lines = (Path(__file__).parent / "user_models.py").read_text().splitlines()
    line = lines.index("        if x.sum() > 3:") + 1
    with pytest.raises(StepFailed, match=f"model.py:{line}: the model's control flow depends"):
        export(source("BranchOnValue"), work)


def test_adaptive_pool_over_dynamic_sizes_is_right_or_refused(source: Source, work: Work) -> None:
    folder = source(
        "AdaptivePool", Tensor("x", "float32", ("batch", 2, "height", "width")),
        batch=Dim(1, 2, 3), height=Dim(6, 9, 20), width=Dim(6, 12, 20),
    )  # fmt: skip
    with contextlib.suppress(StepFailed):
        assert export(folder, work).outputs[0].shape[2:] == (3, 3)
        assert_same(folder, work.out, {"batch": 2, "height": 16, "width": 20}, tolerance=1e-5)


def test_padding_to_a_multiple_is_right_where_nothing_is_to_pad(source: Source, work: Work) -> None:
    folder = source("PadToEight", Tensor("x", "float32", ("batch", "n")), batch=Dim(1, 2, 3), n=Dim(1, 5, 16))
    export(folder, work)
    assert_same(folder, work.out, {"batch": 2, "n": 16}, tolerance=0)
    assert_same(folder, work.out, {"batch": 2, "n": 9}, tolerance=0)


def test_two_inputs_of_one_shape_are_not_taken_for_one(source: Source, work: Work) -> None:
    tensors = (Tensor("x", "float32", ("batch", 4)), Tensor("y", "float32", ("batch", 4)))
    folder = source("Difference", *tensors, outputs=("z",))
    export(folder, work)
    assert_same(folder, work.out, {"batch": 3}, tolerance=1e-6)


def test_module_in_training_mode_is_exported_for_inference(source: Source, work: Work) -> None:
    folder = source("Training")
    export(folder, work)
    assert_same(folder, work.out, {"batch": 3}, tolerance=1e-5)
    assert "Dropout" not in operators(work.out)


@pytest.mark.parametrize("factory", ["Swapped", "Variadic"])
def test_inputs_are_matched_by_name_or_else_by_position(factory: str, source: Source, work: Work) -> None:
    tensors = tuple(Tensor(name, "int64", ("batch", "seq"), (1, 9)) for name in ("ids", "mask"))
    folder = source(factory, *tensors, outputs=("logits", "hidden"), batch=Dim(1, 2, 3), seq=Dim(1, 4, 6))
    assert [tensor.name for tensor in export(folder, work).inputs] == ["ids", "mask"]
    assert_same(folder, work.out, {"batch": 3, "seq": 5}, tolerance=1e-5)


def test_nan_output_is_reported_before_exporting(source: Source, work: Work) -> None:
    with pytest.raises(StepFailed, match="output 'y' holds NaN in PyTorch already"):
        export(source("NotANumber"), work)


def test_error_in_forward_names_the_users_line(source: Source, work: Work) -> None:
    with pytest.raises(StepFailed, match=r"model.py:\d+ in forward"):
        export(source("Raising"), work)


def test_wrong_number_of_outputs_is_refused(source: Source, work: Work) -> None:
    with pytest.raises(StepFailed, match="returned 1 tensors"):
        export(source("Linear", outputs=("a", "b")), work)


def test_declared_output_shape_is_checked(source: Source, work: Work) -> None:
    folder = source("Linear")
    interface = interfaces.read(folder)
    document = json.loads((folder / "model.json").read_text())
    wrong = Interface(interface.inputs, (Tensor("y", "float32", ("batch", 5)),), interface.dims)
    document["interface"] = interfaces.to_json(wrong)
    (folder / "model.json").write_text(json.dumps(document))
    with pytest.raises(StepFailed, match=r"output y has shape \['batch', 4\], but \['batch', 5\] is declared"):
        export(folder, work)


def test_opset_is_as_asked(source: Source, work: Work) -> None:
    Export(opset=18).run({"model": source("Linear")}, work)
    assert onnx.load(work.out / "model.onnx").opset_import[0].version == 18


def test_an_exported_program_is_converted(work: Work, tmp_path: Path) -> None:
    import torch

    program = tmp_path / "program"
    program.mkdir()
    module = torch.nn.Sequential(torch.nn.Linear(4, 2))
    made = torch.export.export(module, (torch.ones(3, 4),), dynamic_shapes=({0: torch.export.Dim("n", min=1, max=8)},))
    torch.export.save(made, program / "model.pt2")
    ends = Tensor("x", "float32", ("batch", 4)), Tensor("y", "float32", ("batch", "..."))
    given = Interface(ends[:1], ends[1:], {"batch": Dim(1, 2, 8)})
    interfaces.write(program, given)
    assert export(program, work).outputs[0].shape == ("batch", 2)
    assert_same(program, work.out, {"batch": 7}, tolerance=1e-6)


def test_example_inputs_differ_from_each_other_and_from_fixed_sizes() -> None:
    interface = Interface(
        (Tensor("a", "float32", ("batch", 4, "n")), Tensor("b", "float32", ("batch", 4, "n"))),
        (), {"batch": Dim(1, 1, 8), "n": Dim(1, 4, 8)},
    )  # fmt: skip
    a, b = example_inputs(interface).values()
    assert a.shape == b.shape
    batch, _, n = a.shape
    assert batch not in {0, 1, 4, n}
    assert n not in {0, 1, 4}
    assert a.data_ptr() != b.data_ptr()
    assert not a.equal(b)


_RUN = """
import sys
from pathlib import Path
from optkit.core.passes import Work
from optkit.passes import PASSES
folder = Path(sys.argv[1])
model = folder / "source"
for name in ("export", "simplify", "fuse", "quantize"):
    work = Work(folder / name, folder / "scratch" / name)
    work.out.mkdir(), work.scratch.mkdir(parents=True)
    inputs = {"model": model} | ({"calibration": folder / "data"} if name == "quantize" else {})
    PASSES[name]().run(inputs, work)
    model = work.out
"""


def test_same_bytes_from_two_folders_and_two_processes(
    source: Source, dataset: Callable[..., Path], samples: Callable[..., dict[str, np.ndarray]], tmp_path: Path
) -> None:
    image = Tensor("image", "float32", ("batch", 1, 16, 16))
    folder, data = source("Cnn", image, outputs=("logits",)), dataset(samples("cnn", 16))
    digests = []
    for seed, name in (("1", "one"), ("2", "elsewhere/two")):
        root = tmp_path / name
        root.mkdir(parents=True)
        for kind, path in (("source", folder), ("data", data)):
            (root / kind).parent.mkdir(exist_ok=True)
            shutil.copytree(path, root / kind)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])}
        subprocess.run([sys.executable, "-c", _RUN, str(root)], check=True, env=environment, cwd=root)
        digests.append({step: digest_tree(root / step) for step in ("export", "simplify", "fuse", "quantize")})
    assert digests[0] == digests[1]
