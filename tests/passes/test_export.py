from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest

from optkit.core import interface as interfaces
from optkit.core.artifact import digest_tree
from optkit.core.errors import StepFailed, UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.passes import Host
from optkit.graph.clean import SCOPE, SOURCE
from optkit.passes import exporting
from optkit.passes.capture import example_inputs
from optkit.passes.export import Export
from optkit.quant.profiles import PROFILES
from tests.passes.exports import assert_same, export, in_process, operators

if TYPE_CHECKING:
    import numpy as np

    from optkit.core.passes import Work
    from optkit.passes.export_attempt import Attempt

pytestmark = pytest.mark.heavy
HOST = Host(frozenset(), "")
Source = Callable[..., Path]


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


@pytest.mark.parametrize("factory", ["Swapped", "Variadic"])
def test_inputs_are_matched_by_name_or_else_by_position(factory: str, source: Source, work: Work) -> None:
    tensors = tuple(Tensor(name, "int64", ("batch", "seq"), (1, 9)) for name in ("ids", "mask"))
    folder = source(factory, *tensors, outputs=("logits", "hidden"), batch=Dim(1, 2, 3), seq=Dim(1, 4, 6))
    assert [tensor.name for tensor in export(folder, work).inputs] == ["ids", "mask"]
    assert_same(folder, work.out, {"batch": 3, "seq": 5}, tolerance=1e-5)


@pytest.mark.parametrize(
    ("factory", "tensor", "message"),
    [
        ("Linear", Tensor("x", "int64", ("batch", 4)), r"model.py:\d+ in forward: RuntimeError: .*dtype"),
        ("Linear", Tensor("x", "float32", ("batch", 3)), r"model.py:\d+ in forward: RuntimeError: .*shapes"),
        ("Cnn", Tensor("image", "float32", ("batch", 16)), r"model.py:\d+ in forward: RuntimeError: .*conv2d"),
        ("Linear", Tensor("x", "float32", (4,)), ""),
    ],
)
def test_a_declared_dtype_or_rank_that_does_not_fit_is_shown(
    factory: str, tensor: Tensor, message: str, source: Source, work: Work
) -> None:
    folder = source(factory, tensor)
    if not message:  # a Linear takes any rank
        assert export(folder, work).outputs[0].shape == (4,)
        return
    with pytest.raises(StepFailed, match=message) as caught:
        export(folder, work)
    assert f"{tensor.name} {tensor.dtype}[4, " in caught.value.hint


def test_a_factory_that_returns_no_module_is_named(source: Source, work: Work) -> None:
    with pytest.raises(StepFailed, match=r"model.py:no_module returned function, not a torch.nn.Module"):
        export(source("no_module"), work)


@pytest.mark.parametrize("factory", ["AlwaysDropping", "Counting"])
def test_a_model_that_answers_differently_each_time_is_refused(factory: str, source: Source, work: Work) -> None:
    with pytest.raises(StepFailed, match="output 'y' differs from run to run on the same inputs"):
        export(source(factory), work)


def test_sizes_that_the_model_itself_does_not_take_are_reported_before_exporting(source: Source, work: Work) -> None:
    folder = source("Upsampler", Tensor("x", "float32", ("batch", 3, "n", 8)), batch=Dim(1, 4, 8), n=Dim(1, 8, 8))
    tiny = source("Square", Tensor("x", "float32", ("batch", "n")), name="square", batch=Dim(1, 4, 8), n=Dim(1, 4, 4))
    assert export(folder, work).outputs[0].shape[0] == "batch"
    with pytest.raises(StepFailed, match=r"the reference does not run at batch=1, n=1: model.py:\d+ in forward"):
        export(tiny, work)


def test_nested_and_absent_outputs_are_flattened(source: Source, work: Work) -> None:
    outputs = export(source("Nested", outputs=("a", "b", "c")), work).outputs
    assert [tensor.shape for tensor in outputs] == [("batch", 4), ("batch", 1), ("batch", 4)]


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


def test_an_attempt_that_crashes_leaves_the_next_one_alone(
    source: Source, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, crash = source("Fragile"), "with tracing: its process died of SIGABRT"

    def first_in_child(attempt: Attempt, folder: Path, place: Path, work: Work) -> dict[str, Any]:
        return (in_process if attempt.number else exporting.in_child)(attempt, folder, place, work)

    exporting.export(folder, 20, 1e-3, work, first_in_child)
    assert work.notes["export"] == {"strategy": "named dimensions", "rejected": [crash]}
    assert "about to crash" in capsys.readouterr().out  # for the log of the pass
    assert_same(folder, work.out, {"batch": 3}, tolerance=1e-6)


def test_a_model_that_crashes_in_pytorch_itself_is_refused(source: Source, work: Work) -> None:
    with pytest.raises(StepFailed, match="running the model in PyTorch: its process died of SIGABRT"):
        Export().run({"model": source("Crashing")}, work)


def test_the_weights_leave_memory_with_the_graph(source: Source, work: Work) -> None:
    import torch

    def alive() -> set[int]:
        gc.collect()
        return {id(found) for found in gc.get_objects() if type(found) is torch.nn.Parameter}

    before = alive()
    export(source("Linear"), work)
    assert alive() <= before


@pytest.mark.parametrize("target", sorted(PROFILES))
def test_opset_is_the_targets_unless_it_is_given(target: str) -> None:
    profile = PROFILES[target]
    assert Export().resolve(target, HOST).opset == profile.opset
    assert Export(opset=18).resolve(target, HOST).opset == 18


def test_an_opset_that_the_target_does_not_read_is_refused() -> None:
    assert Export(opset=24).resolve("onnxruntime-cpu", HOST).opset == 24
    with pytest.raises(UsageError, match="opset 24, but tensorrt-rtx reads operator sets up to 22"):
        Export(opset=24).resolve("tensorrt-rtx", HOST)


@pytest.mark.parametrize(("beyond", "read"), [(0, True), (1, False)])
def test_onnxruntime_reads_the_opsets_that_its_profile_says(beyond: int, read: bool) -> None:  # noqa: FBT001  # a case
    import onnxruntime

    opset = (PROFILES["onnxruntime-cpu"].newest_opset or 0) + beyond
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "graph", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=10)
    with nullcontext() if read else pytest.raises(Exception, match=f"till opset {opset - 1}"):
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_opset_is_as_asked(source: Source, work: Work) -> None:
    export(source("Linear"), work, opset=18)
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
