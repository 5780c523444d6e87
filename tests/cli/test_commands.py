from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.cli.project import Project, data, write_data

if TYPE_CHECKING:
    from tests.cli.command import Optkit
    from tests.cli.conftest import Run


def test_optimize_writes_everything_for_people_and_programs(onnx_run: Run) -> None:
    files = {path.relative_to(onnx_run.folder).as_posix() for path in onnx_run.folder.rglob("*") if path.is_file()}
    assert files == {
        ".optkit-run", "MANIFEST.json", "golden/tiny.npz", "junit.xml", "report.html", "report.json",
        "summary.md",
        "triton/tiny/1/model.onnx", "triton/tiny/config.pbtxt",
    }  # fmt: skip
    report = json.loads((onnx_run.folder / "report.json").read_text())
    assert report["outcome"] == "approved"
    (candidate,) = report["candidates"]
    assert candidate["timing"]["samples_ms"]
    assert candidate["timing"]["profile"]["int8_share"] > 0
    assert report["baseline"]["timing"]["profile"]["int8_share"] == 0
    assert "Where the time goes" in (onnx_run.folder / "summary.md").read_text()
    page = (onnx_run.folder / "report.html").read_text()
    assert all(said in page for said in ("Approved: ", "Noise by layer", "Calibration", "optkit optimize recipe.yaml"))


def test_optimize_tells_programs_what_happens(onnx_run: Run) -> None:
    events = [event["event"] for event in onnx_run.done.events]
    assert set(events) == {"step-started", "step-progress", "step-finished", "judged", "packaged"}
    assert events.index("judged") < events.index("packaged")


def test_optimize_tells_people_what_happens(optkit: Optkit, project: Project) -> None:
    out = project.folder.parent / "out"
    done = optkit("optimize", project.recipe, "-o", out, "-v")
    assert "Baseline against candidates" in done.out
    assert "approved: 1 of 1 candidates" in done.out
    assert done.err.startswith("calibration apart from evaluation: cached\nimport: cached\n")
    assert f"quantize: packaged for triton in {out}/triton\n" in done.err
    assert "latency: 100%" in done.err
    assert "\x1b" not in done.out + done.err


def test_optimize_writes_into_out_by_default(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    optkit("optimize", project.recipe, cwd=tmp_path)
    assert (tmp_path / "out" / "tiny" / "triton" / "tiny" / "config.pbtxt").is_file()


def test_plan_tells_programs_what_would_run(optkit: Optkit, project: Project) -> None:
    steps = optkit("plan", project.recipe, "--json").json
    assert [(step["name"], step["pass_name"], step["state"]) for step in steps] == [
        ("import", "importonnx", "cached"),
        ("simplify", "simplify", "cached"),
        ("quantize", "quantize", "cached"),
    ]
    assert all(step["seconds"] > 0 and step["peak_rss_bytes"] > 0 and step["bytes"] > 0 for step in steps)
    assert optkit("plan", project.recipe, "--explain", "quantize", "--json").json == {
        "step": "quantize", "why": ["quantize is cached"],
    }  # fmt: skip


def test_run_simplifies(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    done = optkit("run", "simplify", project.folder / "model.onnx", "-o", tmp_path / "simple")
    assert done.out == f"{tmp_path}/simple\n"
    onnx.checker.check_model(tmp_path / "simple" / "model.onnx")
    assert json.loads((tmp_path / "simple" / "model.json").read_text())["interface"]["inputs"][0]["name"] == "x"


def test_run_quantizes_with_calibration_data(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    events = optkit(
        "run", "quantize", project.folder / "model.onnx", "--calibration", project.folder / "calibration.npz",
        "--set", "ranges=minmax", "-o", tmp_path / "int8", "--json",
    ).events  # fmt: skip
    assert [event["step"] for event in events if event["event"] == "step-finished"] == ["import", "quantize"]
    session = onnxruntime.InferenceSession(tmp_path / "int8" / "model.onnx")
    samples = data(seed=4, count=64)
    (logits,) = session.run(None, {"x": samples["x"]})
    assert (np.asarray(logits).argmax(1) == samples["labels"]).mean() > 0.9


def test_run_exports_the_model_of_a_recipe(optkit: Optkit, pytorch: Project, tmp_path: Path) -> None:
    optkit("run", "export", pytorch.recipe, "-o", tmp_path / "exported")
    assert optkit("inspect", tmp_path / "exported", "--json").json["operators"]["Gemm"] == 2


RUN_MISTAKES = {
    "no such pass": (["quantise", "model.onnx"], "did you mean 'quantize'?"),
    "no data": (["quantize", "model.onnx"], "quantize needs data for calibration\n  give --calibration PATH"),
    "no original": (
        ["quantize-inc", "model.onnx", "--calibration", "calibration.npz"],
        "quantize-inc also reads the model that model.onnx was made from\n  write a recipe",
    ),
    "no such option": (["simplify", "model.onnx", "--set", "fold=1"], "--set fold=1  fold  unknown key"),
    "no value": (["simplify", "model.onnx", "--set", "fold"], "should read name=value"),
    "wrong kind": (["export", "model.onnx"], "export takes a model of kind program or torch, and"),
    "no model": (["simplify", "calibration.npz"], "a model is an .onnx file, a recipe.yaml, or a folder"),
    "no file": (["simplify", "absent.onnx"], "does not exist"),
}


@pytest.mark.parametrize(("arguments", "expected"), RUN_MISTAKES.values(), ids=RUN_MISTAKES)
def test_a_mistake_in_run(
    arguments: list[str], expected: str, optkit: Optkit, project: Project, tmp_path: Path
) -> None:
    done = optkit("run", *arguments, "-o", tmp_path / "result", code=2, cwd=project.folder)
    assert expected in done.err
    assert not (tmp_path / "result").exists()


def test_run_does_not_write_over_things(optkit: Optkit, project: Project) -> None:
    said = optkit("run", "simplify", project.folder / "model.onnx", "-o", project.folder, code=2).err
    assert "is not empty" in said


def test_bench_compares_with_the_first(optkit: Optkit, project: Project, onnx_run: Run) -> None:
    models = [project.folder / "model.onnx", onnx_run.folder / "triton" / "tiny" / "1" / "model.onnx"]
    quick = ("--seconds", "0.2", "--threads", "1", "--precision", "0.5")
    found = optkit("bench", *models, *quick, "--json").json
    first, second = (found[str(model)] for model in models)
    assert first["speedup"] is None
    assert second["speedup"]["lower"] <= second["speedup"]["value"] <= second["speedup"]["upper"]
    assert first["p50_ms"] > 0
    assert first["samples_ms"]
    assert first["profile"] is None
    lines = optkit("bench", models[0], models[0], *quick, "--profile").out.splitlines()
    assert "Types of operators" in lines
    assert f"Operators of {models[0]} (2)" in lines
    assert lines[0].split()[:3] == ["model", "runtime", "p50"]
    assert "speed-up" not in lines[1]
    assert lines[2].startswith(f"{models[0]} (2)  onnxruntime")
    assert "speed-up" in lines[2]


def test_bench_skips_what_is_not_here_and_times_the_others(optkit: Optkit, project: Project) -> None:
    model = project.folder / "model.onnx"
    quick = ("--seconds", "0.2", "--threads", "1", "--precision", "0.5")
    both = ("--runtime", "onnxruntime-tensorrt,onnxruntime")
    lines = optkit("bench", model, *both, *quick).out.splitlines()
    assert lines[1].startswith(f"{model} (onnxruntime)")
    assert lines[2].startswith("timed in one start, beyond which its bounds do not hold, ")
    assert lines[3] == (
        f"{model} (onnxruntime-tensorrt): skipped, the runtime onnxruntime-tensorrt cannot run here: "
        "this onnxruntime was built without TensorrtExecutionProvider"
    )
    alone = optkit("bench", model, "--runtime", "onnxruntime-tensorrt", *quick, code=4)
    assert "built without TensorrtExecutionProvider" in alone.err


def test_bench_prints_the_others_before_it_says_which_model_failed(
    optkit: Optkit, project: Project, tmp_path: Path
) -> None:
    model, junk = project.folder / "model.onnx", tmp_path / "junk"
    optkit("run", "simplify", model, "-o", junk)
    (junk / "model.onnx").write_bytes(b"junk")
    done = optkit("bench", model, junk, "--seconds", "0.2", "--threads", "1", code=2)
    assert f"timing '{junk}': model.onnx is damaged" in done.err
    assert done.out.splitlines()[1].startswith(str(model))


def test_a_sweep_marks_the_settings_that_none_beats(optkit: Optkit, project: Project) -> None:
    model = project.folder / "model.onnx"
    settings = ("--sweep", "--batches", "1,2", "--threads", "1", "--instances", "1")
    found = optkit("bench", model, *settings, "--seconds", "4", "--json").json
    assert [(point["batch"], point["threads"], point["instances"]) for point in found["points"]] == [
        (1, 1, 1),
        (2, 1, 1),
    ]
    assert any(point["pareto"] for point in found["points"])
    assert found["skipped"] == []
    assert all((point["joules"] is None) == bool(found["no_energy"]) for point in found["points"])
    for arguments, expected in (
        (["--sweep", "--batches", "1000"], "a batch of 1000: the model takes"),
        (["--sweep", "--profile"], "--sweep takes one model"),
        (["--batches", "4"], "are for a --sweep"),
        (["--sweep", "--instances", "1,0"], "0 is not in the range x>=1"),
        (["--sweep", "--runtime", "onnxruntime,torch"], "a sweep is made in one runtime"),
    ):
        assert expected in optkit("bench", model, *arguments, code=2).err


def test_eval_compares_with_the_first(optkit: Optkit, project: Project, onnx_run: Run) -> None:
    models = [project.folder / "model.onnx", onnx_run.folder / "triton" / "tiny" / "1" / "model.onnx"]
    on = ("--data", project.folder / "evaluation.npz", "--output", "logits")
    found = optkit("eval", *models, *on, "--json").json
    first, second = (found[str(model)] for model in models)
    assert first["candidate"]["value"] == 1.0
    assert second["baseline"]["value"] == 1.0
    assert second["drop"]["value"] == pytest.approx(1 - second["candidate"]["value"], abs=1e-12)
    assert 0 <= second["drop"]["value"] < 0.03
    assert second["samples"] == 200
    shown = optkit("eval", *models, *on, "--metric", "accuracy", "--option", "k=2", "--samples", "50").out
    assert "50       100.00 %" in shown


EVAL_MISTAKES = {
    "no such metric": (["--metric", "acuracy", "--output", "logits"], "did you mean 'accuracy'?"),
    "no such option": (["--output", "logits", "--option", "n=5"], "--option n=5  n  unknown key"),
    "no such output": (["--output", "logit"], "no output logit"),
    "no such split": (["--output", "logits", "--split", "test"], "has no split `test`"),
    "no output": ([], "Missing option '--output'"),
}


@pytest.mark.parametrize(("arguments", "expected"), EVAL_MISTAKES.values(), ids=EVAL_MISTAKES)
def test_a_mistake_in_eval(arguments: list[str], expected: str, optkit: Optkit, project: Project) -> None:
    done = optkit("eval", "model.onnx", "--data", "evaluation.npz", *arguments, code=2, cwd=project.folder)
    assert expected in done.err


def test_compare_two_models(optkit: Optkit, project: Project, onnx_run: Run) -> None:
    models = [project.folder / "model.onnx", onnx_run.folder / "triton" / "tiny" / "1" / "model.onnx"]
    found = optkit("compare", *models, "--json").json
    assert found["weights"]["quantized"] == [False, True]
    assert found["opsets"] == {}
    assert 0 < found["outputs"]["logits"]["relative_to_scale"] < 0.1
    shown = optkit("compare", *models).out
    assert "quantized     False → True" in shown
    assert "opsets\n  the same\n" in shown


def test_models_that_take_other_inputs_are_not_compared(optkit: Optkit, project: Project) -> None:
    other = onnx.load(project.folder / "model.onnx")
    other.graph.input[0].name = other.graph.node[0].input[0] = "pixels"
    onnx.save(other, project.folder / "other.onnx")
    for command in ("compare", "bench"):
        said = optkit(command, "model.onnx", "other.onnx", code=2, cwd=project.folder).err
        assert "error: other.onnx cannot take the inputs of model.onnx: it takes pixels, not x\n" in said


def test_compare_two_runs(optkit: Optkit, project: Project, onnx_run: Run) -> None:
    other = project.folder.parent / "out"
    optkit("optimize", project.recipe, "-o", other, "--set", "steps.quantize.ranges=kl")
    found = optkit("compare", onnx_run.folder, other, "--json").json
    assert found["options"] == {"quantize.ranges": ["mse", "kl"]}
    assert "import" not in found["steps"]
    assert "quantize" in found["steps"]
    assert found["machine"] == found["versions"] == found["sources"] == {}
    numbers = found["numbers"]["quantize"]
    assert list(numbers) == ["top1", "latency", "memory", "size"]
    assert numbers["latency"]["lost"]["lower"] <= numbers["latency"]["lost"]["value"]
    shown = optkit("compare", onnx_run.folder, other).out
    assert "quantize.ranges  mse → kl" in shown
    assert "numbers of quantize\n" in shown


def test_compare_a_run_and_a_model(optkit: Optkit, project: Project, onnx_run: Run) -> None:
    said = optkit("compare", onnx_run.folder, project.folder / "model.onnx", code=2).err
    assert "are not of one kind" in said


def test_inspect(optkit: Optkit, project: Project) -> None:
    found = optkit("inspect", project.folder / "model.onnx", "--json").json
    assert found["operators"] == {"Gemm": 2, "Relu": 1}
    assert found["parameters"] == 212
    assert not found["quantized"]
    assert found["cost"]["macs"] == {
        "value": 8 * 192, "formula": "192·batch", "terms": [{"coefficient": 192, "powers": {"batch": 1}}],
    }  # fmt: skip
    assert found["cost"]["uncounted"] == {}
    shown = optkit("inspect", project.folder / "model.onnx").out
    assert next(line for line in shown.splitlines() if "MACs" in line).split() == ["MACs", "1,536", "=", "192·batch"]
    assert "quantized: no" in shown


@pytest.mark.parametrize("name", ["..", "calibration.npz", "recipe.yaml"])
def test_inspect_something_else(name: str, optkit: Optkit, project: Project) -> None:
    assert optkit("inspect", name, code=2, cwd=project.folder).err.startswith("error: ")


def test_package_emits_an_approved_run_again(optkit: Optkit, onnx_run: Run, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    done = optkit("package", onnx_run.folder, "-o", repository, "--set", "instance_count=3", "--json")
    assert done.json == {"tiny": f"{repository}/tiny"}
    assert "count: 3" in (repository / "tiny" / "config.pbtxt").read_text()
    entry = Path("tiny", "1", "model.onnx")
    assert (repository / entry).read_bytes() == (onnx_run.folder / "triton" / entry).read_bytes()


def test_package_keeps_the_names_of_the_classes(optkit: Optkit, onnx_run: Run, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    report = json.loads((onnx_run.folder / "report.json").read_text())
    report["class_names"] = {"logits": ["ant", "bee", "cat", "dog"]}
    (run / "report.json").write_text(json.dumps(report))
    optkit("package", run, "-o", tmp_path / "repository")
    assert (tmp_path / "repository" / "tiny" / "labels-logits.txt").read_text() == "ant\nbee\ncat\ndog\n"


def test_a_part_of_a_dataset_calibrates(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    quantize = ("run", "quantize", project.folder / "model.onnx", "-o", tmp_path / "int8")
    few = ("--calibration", project.folder / "calibration.npz", "--samples", "4")
    assert "the calibration data holds 4 samples" in optkit(*quantize, *few, code=2).err
    assert "go with --calibration" in optkit(*quantize, "--split", "train", code=2).err


PACKAGE_MISTAKES = {
    "no such runtime": (["--for", "tritn"], "did you mean 'triton'?"),
    "no such option": (["--set", "instances=3"], "--set instances=3  instances  unknown key"),
    "no new folder": (["-o", "."], "exists\n  give a new folder with -o"),
}


@pytest.mark.parametrize(("arguments", "expected"), PACKAGE_MISTAKES.values(), ids=PACKAGE_MISTAKES)
def test_a_mistake_in_package(
    arguments: list[str], expected: str, optkit: Optkit, onnx_run: Run, tmp_path: Path
) -> None:
    done = optkit("package", onnx_run.folder, "-o", "new", *arguments, code=2, cwd=tmp_path)
    assert expected in done.err
    assert not (tmp_path / "new").exists()


def test_package_needs_the_model_in_the_store(fresh: Optkit, onnx_run: Run, tmp_path: Path) -> None:
    said = fresh("package", onnx_run.folder, "-o", tmp_path / "repository", code=2).err
    assert "the model of quantize is not in the store" in said
    assert "run `optkit optimize` again" in said


def test_package_what_is_no_run(optkit: Optkit, tmp_path: Path) -> None:
    assert "report.json cannot be read" in optkit("package", tmp_path, "-o", tmp_path / "new", code=2).err


@pytest.mark.heavy
def test_verify_replays_over_http_and_grpc(optkit: Optkit, onnx_run: Run) -> None:
    found = optkit("verify", onnx_run.folder, "--json").json
    assert list(found) == ["triton/tiny"]
    assert {check["protocol"] for check in found["triton/tiny"]} >= {"http", "grpc"}
    assert all(check["ok"] for check in found["triton/tiny"])


def test_verify_refuses_what_was_not_approved(optkit: Optkit, onnx_run: Run, tmp_path: Path) -> None:
    out = Path(shutil.copytree(onnx_run.folder, tmp_path / "out"))
    model = out / "triton" / "tiny" / "1" / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    said = optkit("verify", out, code=6).err
    assert "is not what was approved" in said
    assert "triton/tiny/1/model.onnx" in said


def test_verify_what_is_no_run(optkit: Optkit, tmp_path: Path) -> None:
    assert "MANIFEST.json" in optkit("verify", tmp_path, code=2).err


def test_cache_lists_and_forgets(fresh: Optkit, project: Project, tmp_path: Path) -> None:
    fresh("run", "quantize", project.folder / "model.onnx", "--set", "method=dynamic", "-o", tmp_path / "int8")
    entries = fresh("cache", "ls", "--json").json
    assert {entry["step"] for entry in entries} == {"import", "quantize"}
    assert all(entry["bytes"] > 0 and entry["kind"] == "onnx" for entry in entries)
    lines = fresh("cache", "ls").out.splitlines()
    assert len(lines) == 3
    assert lines[-1].startswith("2 steps, ")
    (fresh.store / "tmp" / "left-by-a-crash").mkdir()
    (fresh.store / "tmp" / "left-by-a-crash.lock").touch()
    kept = fresh("cache", "gc", "--json").json
    assert kept["actions"] == 0
    assert not list(fresh.store.glob("tmp/*"))
    assert len(fresh("cache", "ls", "--json").json) == 2
    assert "forgot 2 steps, removed 2 objects" in fresh("cache", "gc", "--older-than", "0").out
    assert fresh("cache", "ls", "--json").json == []
    assert not list(fresh.store.glob("objects/*/*"))


def test_eval_on_a_bare_archive_with_a_batch_of_one(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    write_data(tmp_path / "one.npz", data(seed=9, count=1))
    on = ("--data", tmp_path / "one.npz", "--output", "logits")
    (found,) = optkit("eval", project.folder / "model.onnx", *on, "--json").json.values()
    assert found["samples"] == 1


def test_doctor(optkit: Optkit) -> None:
    found = {finding["name"]: finding for finding in optkit("doctor", "--json").json}
    assert {"python", "cpu", "store", "torch", "onnxruntime", "tritonserver"} <= found.keys()
    assert found["torch"]["state"] == "ok"
    assert found["runtime onnxruntime"]["state"] == "ok"
    lines = optkit("doctor").out.splitlines()
    assert len(lines) == len(found)


def test_doctor_says_what_is_missing(optkit: Optkit, tmp_path: Path) -> None:
    # A distribution without its metadata is one that is not installed: hide all of them.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.metadata as m\n"
        "real = m.version\n"
        "def version(name):\n"
        "    if name == 'onnxsim':\n"
        "        raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
    )
    path = optkit.environment.get("PYTHONPATH", "")
    done = optkit.given(PYTHONPATH=f"{tmp_path}:{path}")("doctor", code=4)
    assert "missing: onnxsim" in done.err
    assert ["onnxsim", "missing", "pip", "install", "optkit"] in [line.split() for line in done.out.splitlines()]


def test_init_scaffolds_what_can_be_planned(optkit: Optkit, tmp_path: Path) -> None:
    done = optkit("init", tmp_path / "mine")
    assert done.out.splitlines()[-1] == f"next: optkit optimize {tmp_path}/mine/recipe.yaml"
    assert [step["name"] for step in optkit("plan", tmp_path / "mine" / "recipe.yaml", "--json").json] == [
        "export", "simplify", "fuse", "quantize",
    ]  # fmt: skip
    assert "is not empty" in optkit("init", tmp_path / "mine", code=2).err


def test_compare_per_layer(optkit: Optkit, project: Project, onnx_run: Run) -> None:
    models = [project.folder / "model.onnx", onnx_run.folder / "triton" / "tiny" / "1" / "model.onnx"]
    on = ("--per-layer", "--data", project.folder / "evaluation.npz")
    found = optkit("compare", *models, *on, "--json").json
    assert [error["tensor"] for error in found["errors"]][-1] == "logits"
    assert all(error["sqnr_db"] is None or error["sqnr_db"] > 20 for error in found["errors"])
    assert found["first_bad"] is None
    shown = optkit("compare", *models, *on).out
    assert shown.splitlines()[1].split()[:3] == ["tensor", "made", "by"]
    assert shown.endswith("no tensor is below 20 dB\n")
    made_up = optkit("compare", *models, "--per-layer", "--sqnr", "90").err
    assert "the inputs are made up" in made_up
    strict = optkit("compare", *models, *on, "--sqnr", "90").out
    assert "error enters at node " in strict.splitlines()[-1]


def test_mistakes_in_compare_per_layer(optkit: Optkit, onnx_run: Run, pytorch: Project) -> None:
    model = onnx_run.folder / "triton" / "tiny" / "1" / "model.onnx"
    assert "add --per-layer" in optkit("compare", model, model, "--sqnr", "30", code=2).err
    assert "is no ONNX graph" in optkit("compare", model, pytorch.recipe, "--per-layer", code=2).err


def test_compare_says_which_nodes_and_weights_changed(optkit: Optkit, project: Project) -> None:
    proto = onnx.load(project.folder / "model.onnx")
    weight = proto.graph.initializer[0]
    weight.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(weight), weight.name))
    relu = next(node for node in proto.graph.node if node.op_type == "Relu")
    relu.op_type = "Sigmoid"
    onnx.save(proto, project.folder / "other.onnx")
    found = optkit("compare", "model.onnx", "other.onnx", "--json", cwd=project.folder).json
    assert list(found["nodes"]["changed"].values()) == [["Relu", "Sigmoid"]]
    assert found["nodes"]["same"] == 2
    assert found["stored"]["changed"] == [weight.name]
    assert found["stored"]["shared"] == len(proto.graph.initializer) - 1
    shown = optkit("compare", "model.onnx", "other.onnx", cwd=project.folder).out
    assert "nodes: 2 the same, 1 changed, 0 removed, 0 added\n" in shown
    assert "Relu → Sigmoid" in shown
    assert f"  changed: {weight.name}\n" in shown
