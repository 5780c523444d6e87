"""The target openvino-cpu from end to end, and what users see where it cannot be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit
    from tests.cli.project import Project

FOR_OPENVINO = ("steps: [simplify, quantize]", "target: openvino-cpu\nsteps: [simplify, quantize]")
UNPACKAGED = ("package: {triton: {}}\n", "")
BOTH = (
    "steps: [simplify, quantize]",
    """\
steps:
  - simplify
  - {id: ort, from: simplify, quantize: {}}
  - {id: ov, from: simplify, quantize: {target: openvino-cpu}}""",
)
QUICK = ("--seconds", "0.2", "--threads", "1", "--precision", "0.5")


def test_candidates_are_predicted_and_timed_in_openvino(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    project.edit(FOR_OPENVINO, UNPACKAGED)
    optkit("optimize", project.recipe, "-o", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (candidate,) = report["candidates"]
    assert (candidate["target"], candidate["timing"]["runtime"]) == ("openvino-cpu", "openvino")
    assert (candidate["approved"], report["baseline"]["runtime"]) == (True, "onnxruntime")
    quantize = next(step for step in report["steps"] if step["name"] == "quantize")
    assert quantize["notes"]["int8_nodes"] == {"MatMul": [2, 2]}


def test_triton_gets_no_entry_for_it(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    project.edit(FOR_OPENVINO)
    done = optkit("optimize", project.recipe, "-o", tmp_path / "out", code=2)
    assert "triton runs models in onnxruntime, tensorrt, tensorrt-rtx, and this one is made for openvino" in done.err
    assert "leave `package` out, or add a candidate for the target onnxruntime-cpu" in done.err


def test_the_other_candidate_is_packaged(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    project.edit(BOTH)
    done = optkit("optimize", project.recipe, "-o", tmp_path / "out")
    assert "ov: no entry: triton runs models in onnxruntime" in done.out + done.err
    assert [path.name for path in (tmp_path / "out" / "triton").iterdir()] == ["tiny-ort"]
    assert [path.name for path in (tmp_path / "out" / "golden").iterdir()] == ["tiny-ort.npz"]
    optkit("package", tmp_path / "out", "-o", tmp_path / "again")
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["tiny-ort"]


def test_bench_and_eval_take_a_runtime(optkit: Optkit, project: Project) -> None:
    pytest.importorskip("openvino")
    model = project.folder / "model.onnx"
    lines = optkit("bench", model, "--runtime", "onnxruntime,openvino", *QUICK).out.splitlines()
    assert lines[1].startswith(f"{model} (onnxruntime)")
    assert lines[2].startswith(f"{model} (openvino)")
    on = ("--data", project.folder / "evaluation.npz", "--output", "logits")
    found = optkit("eval", model, *on, "--runtime", "openvino", "--json").json
    assert found[str(model)]["candidate"]["value"] == 1.0


MISTAKES = {
    "unknown": (["--runtime", "tvm"], "unknown runtime 'tvm'"),
    "of another kind": (["--runtime", "torch"], "the runtime torch opens no model of kind onnx"),
    "twice the same": (["--runtime", "onnxruntime,onnxruntime"], "2 runtimes for 1 models"),
    "one that it does not fit": (["--runtime", "onnxruntime,torch"], "the runtime torch does not open"),
}


@pytest.mark.parametrize(("arguments", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_runtime(arguments: list[str], expected: str, optkit: Optkit, project: Project) -> None:
    assert expected in optkit("bench", project.folder / "model.onnx", *arguments, code=2).err


def test_an_absent_library_is_said_before_any_work(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    hidden = without_openvino(optkit, tmp_path)
    project.edit(FOR_OPENVINO, UNPACKAGED)
    done = hidden("optimize", project.recipe, "-o", tmp_path / "out", code=4)
    assert "the runtime openvino needs openvino, which is not installed" in done.err
    assert "pip install 'optkit[openvino]'" in done.err
    assert hidden("bench", project.folder / "model.onnx", "--runtime", "openvino", code=4).err.count("optkit[openvino]")
    found = {finding["name"]: finding["text"] for finding in hidden("doctor", "--json").json}
    assert found["openvino"] == "absent; optkit[openvino]: the target openvino-cpu"
    why = "the runtime openvino needs openvino, which is not installed"
    assert found["runtime openvino"] == f"{why}; pip install 'optkit[openvino]'"
    assert f"openvino-cpu cannot be had here: {why}" in hidden("plan", project.recipe).out


def without_openvino(optkit: Optkit, folder: Path) -> Optkit:
    """Returns the program where the distribution has no metadata: what is not installed has none."""
    (folder / "sitecustomize.py").write_text(
        "import importlib.metadata as m\n"
        "real = m.version\n"
        "def version(name):\n"
        "    if name == 'openvino':\n"
        "        raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
    )
    path = optkit.environment.get("PYTHONPATH", "")
    return optkit.given(PYTHONPATH=f"{folder}:{path}")
