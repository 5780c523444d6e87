"""Whole recipes: what a good one becomes, and every mistake of a bad one, all at once."""

# ruff: noqa: E501  # whole lines, as a user sees them
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import Problem, RecipeError
from optkit.core.gates import Gate, SliceGate
from optkit.core.interface import Dim
from optkit.core.parse import parse_recipe
from optkit.core.recipe import DataSpec, InputSpec, MeasureSpec, MetricUse, Recipe
from optkit.workflow.tables import load_tables
from tests.core.sample_tables import GOOD, TABLES, Accuracy, Export, Quantize, Simplify, Triton

if TYPE_CHECKING:
    from optkit.core.passes import Host

Parse = Callable[..., Recipe]
Messages = Callable[..., list[str]]


def replaced(old: str, new: str) -> str:
    """Returns the good recipe with one thing changed."""
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def test_a_good_recipe_becomes_values(parse: Parse) -> None:
    recipe = parse(GOOD)
    assert recipe.path == Path("recipe.yaml")
    assert recipe.folder == Path()
    assert recipe.name == "digits"
    assert recipe.model.factory == "model.py:build"
    assert recipe.model.inputs["image"].shape == ("batch", 1, 28, 28)
    assert recipe.model.dims == {"batch": Dim(1, 8, 64)}
    assert recipe.data["calibration"] == DataSpec("images", "train", 256)
    assert recipe.metrics == (MetricUse("top1", "accuracy", Accuracy("logits"), "evaluation"),)
    assert recipe.targets["quantize"] == "onnxruntime-cpu"
    assert recipe.gates == {
        "top1": Gate(max_drop=0.01), "latency": Gate(min_speedup=1.5), "size": Gate(max_ratio=0.4),
    }  # fmt: skip
    assert recipe.measure == MeasureSpec(threads=1)
    assert recipe.package == {"triton": Triton()}
    assert recipe.reference == "export"
    assert recipe.leaves == ("quantize",)


def test_steps_are_linked_and_resolved(parse: Parse) -> None:
    export, simplify, quantize = parse(GOOD).steps
    assert (export.do, export.inputs) == (Export(), {"model": "model"})
    assert (simplify.do, simplify.inputs) == (Simplify(), {"model": "export"})
    assert quantize.do == Quantize(ranges="mse", target="onnxruntime-cpu", reduce_range=True)
    assert quantize.inputs == {"model": "simplify", "calibration": "data.calibration"}


def test_the_shortest_recipe(parse: Parse) -> None:
    recipe = parse("name: m\nmodel: {onnx: model.onnx}\nsteps: [simplify]\n")
    assert recipe.targets["simplify"] == "onnxruntime-cpu"
    assert [step.name for step in recipe.steps] == ["import", "simplify"]
    assert recipe.gates == {}
    assert recipe.package == {}
    assert recipe.measure == MeasureSpec()


def test_empty_sections_count_as_absent(parse: Parse) -> None:
    text = "name: m\nmodel: {onnx: model.onnx}\nsteps: [simplify]\ndata:\nmetrics:\ngates:\npackage:\nmeasure:\n"
    assert parse(text).data == {}
    assert parse(text.replace("package:", "package: {triton: }")).package == {"triton": Triton()}


def test_paths_are_relative_to_the_recipe_not_to_the_current_folder(
    folder: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "recipe.yaml").write_text(GOOD)
    monkeypatch.chdir("/")
    assert parse_recipe(folder / "recipe.yaml", TABLES, host).folder == folder


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gates:", "gatse:", "recipe.yaml:15:1  gatse  unknown section  (did you mean 'gates'?)"),
        ("weights:", "wieghts:", "recipe.yaml:4:3  model.wieghts  unknown key  (did you mean 'weights'?)"),
        ("dtype: float32", "dtipe: float32", "recipe.yaml:5:20  model.inputs.image.dtipe  unknown key  (did you mean 'dtype'?)"),
        ("opt: 8", "opd: 8", "recipe.yaml:7:26  model.dims.batch.opd  unknown key  (did you mean 'opt'?)"),
        ("samples: 256", "sample: 256", "recipe.yaml:9:48  data.calibration.sample  unknown key  (did you mean 'samples'?)"),
        ("kind: accuracy, output", "kind: accuracy, ouput", "recipe.yaml:12:26  metrics.top1.ouput  unknown key  (did you mean 'output'?)"),
        ("kind: accuracy", "kind: acuracy", "recipe.yaml:12:16  metrics.top1.kind  unknown metric 'acuracy'  (did you mean 'accuracy'?)"),
        ("target: onnx", "target: onyx", "recipe.yaml:13:9  target  unknown target 'onyxruntime-cpu'  (did you mean 'onnxruntime-cpu'?)"),
        ("simplify,", "simplyfy,", "recipe.yaml:14:17  steps[1]  unknown pass 'simplyfy'  (did you mean 'simplify'?)"),
        ("quantize:", "quantise:", "recipe.yaml:14:27  steps[2].quantise  unknown pass 'quantise'  (did you mean 'quantize'?)"),
        ("ranges: mse", "rnages: mse", "recipe.yaml:14:38  steps[2].quantize.rnages  unknown key  (did you mean 'ranges'?)"),
        ("max_drop", "max_dorp", "recipe.yaml:16:10  gates.top1.max_dorp  unknown key  (did you mean 'max_drop'?)"),
        ("  latency:", "  latncy:", "recipe.yaml:17:3  gates.latncy  no such metric  (did you mean 'latency'?)"),
        ("threads", "thread", "recipe.yaml:19:11  measure.thread  unknown key  (did you mean 'threads'?)"),
        ("{triton: {}}", "{tritn: {}}", "recipe.yaml:20:11  package.tritn  unknown serving runtime  (did you mean 'triton'?)"),
        ("{triton: {}}", "{triton: {max_queue: 1.0}}", "recipe.yaml:20:20  package.triton.max_queue  unknown key  (did you mean 'max_queue_ms'?)"),
    ],
)  # fmt: skip
def test_a_misspelled_key_at_every_level(messages_of: Messages, old: str, new: str, message: str) -> None:
    assert message in messages_of(replaced(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: digits", "name: 3", "recipe.yaml:1:7  name  should be a name of letters, digits, '.', '_' and '-', not 3"),
        ("name: digits", "name: ../x", "recipe.yaml:1:7  name  should be a name of letters, digits, '.', '_' and '-', not \"../x\""),
        ("target: onnxruntime-cpu", "target:", "recipe.yaml:13:8  target  should be a name of letters, digits, '.', '_' and '-', not null"),
        ("samples: 256", "samples: many", 'recipe.yaml:9:57  data.calibration.samples  should be a valid integer, not "many"'),
        ("samples: 256", "samples: 0", "recipe.yaml:9:57  data.calibration.samples  should be at least 1, not 0"),
        ("ranges: mse", "ranges: min", "recipe.yaml:14:46  steps[2].quantize.ranges  should be 'minmax', 'mse' or 'kl', not \"min\"  (did you mean 'minmax'?)"),
        ("float32", "float23", None),
        ("[batch, 1, 28, 28]", "3", "recipe.yaml:5:43  model.inputs.image.shape  should be a valid array, not 3"),
        ("[batch, 1, 28, 28]", "[batch, 0, 28, 28]", "recipe.yaml:5:51  model.inputs.image.shape[1]  a size is at least 1, not 0"),
        ("[batch, 1, 28, 28]}", "[batch], range: [1, 0]}", "recipe.yaml:5:59  model.inputs.image.range  needs low ≤ high, has 1, 0"),
        ("threads: 1", "threads: 0", "recipe.yaml:19:20  measure.threads  should be at least 1, not 0"),
        ("threads: 1", "seconds: .inf", "recipe.yaml:19:20  measure.seconds  should be a number above 0, not inf"),
        ("threads: 1", "precision: .nan", "recipe.yaml:19:22  measure.precision  should be a number above 0, not nan"),
        ("threads: 1", "sweep: {threads: [0]}", "recipe.yaml:19:28  measure.sweep.threads  should be whole numbers above 0, such as [1, 2]"),
        ("threads: 1", "sweep: {instances: []}", "recipe.yaml:19:30  measure.sweep.instances  should be whole numbers above 0, such as [1, 2]"),
        ("threads: 1", "sweep: {seconds: -1}", "recipe.yaml:19:28  measure.sweep.seconds  should be a number above 0, not -1"),
        ("threads: 1", "sweep: {batches: [1, 99]}", "recipe.yaml:19:28  measure.sweep.batches  the model takes batches of 1 to 64  (`model.dims.batch` says so)"),
        ("threads: 1", "sweep: true", "recipe.yaml:19:18  measure.sweep  should be a mapping, not true"),
        ("1e-2", ".nan", "recipe.yaml:16:20  gates.top1.max_drop  a limit cannot be NaN"),
        ("1e-2", "'0.01'", 'recipe.yaml:16:20  gates.top1.max_drop  should be a valid number, not "0.01"'),
        ("{triton: {}}", "{triton: false}", "recipe.yaml:20:19  package.triton  should be a mapping, not false"),
        ("quantize: {ranges: mse}", "quantize: false", "recipe.yaml:14:37  steps[2].quantize  should be a mapping, not false"),
        ("quantize: {ranges: mse}", "quantize: []", "recipe.yaml:14:37  steps[2].quantize  should be a mapping, not []"),
        ("measure: {threads: 1}", "measure: fast", "recipe.yaml:19:10  measure  should be a mapping of names"),
        ("package: {triton: {}}", "package: [triton]", "recipe.yaml:20:10  package  should be a mapping of names"),
        ("{kind: accuracy, output: logits}", "accuracy", "recipe.yaml:12:9  metrics.top1  needs a kind  (one of accuracy)"),
        ("kind: accuracy", "kind: [accuracy]", "recipe.yaml:12:16  metrics.top1.kind  unknown metric \"['accuracy']\"  (did you mean 'accuracy'?)"),
        ("output: logits}", "output: logits, data: [x]}", None),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(messages_of: Messages, old: str, new: str, message: str | None) -> None:
    found = messages_of(replaced(old, new))
    assert message is None or message in found
    assert len(found) == 1


@pytest.mark.parametrize("section", ["name", "model", "steps"])
def test_a_required_section_is_missing(messages_of: Messages, section: str) -> None:
    lines = GOOD.splitlines(keepends=True)
    start = next(index for index, line in enumerate(lines) if line.startswith(section))
    end = next(index for index in range(start + 1, len(lines)) if not lines[index].startswith(" "))
    assert f"recipe.yaml:1:1  {section}  is missing" in messages_of("".join(lines[:start] + lines[end:]))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words", "3"])
def test_a_recipe_is_a_mapping(messages_of: Messages, text: str) -> None:
    assert messages_of(text) == ["recipe.yaml:1:1  (whole file)  a recipe is a mapping of sections"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "weights.safetensors",
            "wieghts.safetensors",
            "recipe.yaml:4:12  model.weights  no such file: wieghts.safetensors  (did you mean 'weights.safetensors'?)",
        ),
        ("model.py:build", "net/modle.py:build", None),
        (
            "model.py:build",
            "modle.py:build",
            "recipe.yaml:3:12  model.factory  no such file: modle.py  (did you mean 'model.py'?)",
        ),
        ("weights.safetensors", "images", "recipe.yaml:4:12  model.weights  no such file: images  (did you mean 'images'?)"),
        ("weights.safetensors", "''", None),
        ("images, split: test", "imgaes, split: test", "recipe.yaml:10:25  data.evaluation.dataset  no such file: imgaes  (did you mean 'images'?)"),
        ("images, split: test", "/nowhere/at/all, split: test", "recipe.yaml:10:25  data.evaluation.dataset  no such file: /nowhere/at/all  (paths are relative to the recipe)"),
        ("weights.safetensors", "x" * 300, f"recipe.yaml:4:12  model.weights  cannot be read: {'x' * 300}: File name too long"),
        ("weights: weights.safetensors", "weights: other.bin\n  prepare: make models", "recipe.yaml:4:12  model.weights  no such file: other.bin  (`make models` makes it)"),
        ("weights: weights.safetensors", "code: [layers.py]", "recipe.yaml:4:10  model.code[0]  no such file: layers.py  (paths are relative to the recipe)"),
    ],
)  # fmt: skip
def test_a_missing_file_is_named_with_its_near_miss(
    messages_of: Messages, old: str, new: str, message: str | None
) -> None:
    found = messages_of(replaced(old, new))
    assert len(found) == 1
    assert message is None or found == [message]


@pytest.mark.parametrize("factory", ["model.py", "model:build", "model.py:", "model.py:2x", "build", ""])
def test_a_factory_reads_file_and_callable(messages_of: Messages, factory: str) -> None:
    assert messages_of(replaced("model.py:build", f"'{factory}'")) == [
        "recipe.yaml:3:12  model.factory  should read file.py:callable  (for example model.py:build)"
    ]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("{}", "recipe.yaml:2:8  model  needs exactly one of factory, onnx, program and huggingface  (has none)"),
        (
            "{onnx: model.onnx, factory: model.py:build}",
            "recipe.yaml:2:8  model  needs exactly one of factory, onnx, program and huggingface  (has factory, onnx)",
        ),
        (
            "{program: model.pt2, inputs: {x: {dtype: int64, shape: [2]}}}",
            "recipe.yaml:2:18  model.program  loading a .pt2 can run code  (add `trust: true` if you trust who made it)",
        ),
        (
            "{factory: model.py:build}",
            "recipe.yaml:2:8  model.inputs  is missing  (name each input with its dtype and shape)",
        ),
    ],
)
def test_a_model_comes_from_one_source_and_says_what_it_takes(messages_of: Messages, model: str, message: str) -> None:
    assert message in messages_of(f"name: m\nmodel: {model}\nsteps: [export]\n")


HUGGINGFACE = "name: m\nmodel: {huggingface: ., task: text-classification}\nsteps: [export]\n"


def test_a_huggingface_folder_says_what_it_takes(parse: Parse) -> None:
    model = parse(HUGGINGFACE).model
    assert model.inputs == {"input_ids": InputSpec("int64", ("batch", "sequence"), (0, 99))}
    assert model.outputs == ("logits",)
    assert model.dims == {"batch": Dim(), "sequence": Dim(1, 4, 9)}


def test_what_the_recipe_says_goes_before_what_its_folder_says(parse: Parse) -> None:
    inputs = "inputs: {tokens: {dtype: int32, shape: [batch, 7]}}"
    given = f"text-classification, outputs: [scores], dims: {{batch: {{max: 2}}}}, {inputs}"
    model = parse(HUGGINGFACE.replace("text-classification", given)).model
    assert model.inputs == {"tokens": InputSpec("int32", ("batch", 7))}
    assert model.outputs == ("scores",)
    assert model.dims == {"batch": Dim(1, 1, 2)}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("{huggingface: .}", "recipe.yaml:2:8  model.task  is missing  (one of feature-extraction, "),
        ("{huggingface: gone, task: causal-lm}", "recipe.yaml:2:22  model.huggingface  no such folder: "),
        (
            "{huggingface: gone, task: causal-lm, prepare: make it}",
            "recipe.yaml:2:22  model.huggingface  no such folder: gone  (`make it` makes it)",
        ),
        ("{huggingface: ., task: causal-ml}", "(did you mean 'causal-lm'?)"),
        (
            "{huggingface: ., task: causal-lm}",
            "recipe.yaml:2:22  model.huggingface   has no head for causal-lm  (it can do text-classification)",
        ),
        (
            "{huggingface: ., task: text-classification, dims: {seq: {max: 8}}}",
            "recipe.yaml:2:59  model.dims.seq  no input has this dimension  (one of batch, sequence)",
        ),
        ("{huggingface: ., task: text-classification, weights: w.pt}", "2:52  model.weights  does not go with"),
        ("{huggingface: ., task: text-classification, trust_remote_code: true}", "unknown key"),
        ("{onnx: model.onnx, task: fill-mask}", "2:27  model.task  only a huggingface model has a task"),
    ],
)
def test_mistakes_about_a_huggingface_folder_have_a_place(messages_of: Messages, model: str, message: str) -> None:
    found = messages_of(f"name: m\nmodel: {model}\nsteps: [export]\n")
    assert any(message in each for each in found), found


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ("[y, z, y]", "listed twice"),
        ("[y, x]", "'x' is the name of an input"),
        ("{y: [batch], x: [batch]}", "'x' is the name of an input"),
    ],
)
def test_outputs_have_names_of_their_own(messages_of: Messages, outputs: str, message: str) -> None:
    model = f"{{factory: model.py:build, inputs: {{x: {{dtype: float32, shape: [1, 3]}}}}, outputs: {outputs}}}"
    assert [message in said for said in messages_of(f"name: net\nmodel: {model}\nsteps: [export]\n")] == [True]


def test_a_trusted_program_is_taken(parse: Parse) -> None:
    model = "{program: model.pt2, trust: true, inputs: {x: {dtype: int64, shape: [2]}}}"
    assert parse(f"name: m\nmodel: {model}\nsteps: [export]\n").model.program == "model.pt2"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[batch, 1, 28, 28]",
            "[batch, seq]",
            "recipe.yaml:5:51  model.inputs.image.shape[1]  'seq' is not in model.dims  (add seq: {min: 1, opt: 8, max: 64} there)",
        ),
        (
            "min: 1, opt: 8, max: 64",
            "min: 9, opt: 8, max: 64",
            "recipe.yaml:7:17  model.dims.batch  needs 1 ≤ min ≤ opt ≤ max, has 9, 8, 64",
        ),
        (
            "min: 1, opt: 8, max: 64",
            "min: 0, opt: 8, max: 64",
            "recipe.yaml:7:17  model.dims.batch  needs 1 ≤ min ≤ opt ≤ max, has 0, 8, 64",
        ),
        (
            "min: 1, opt: 8, max: 64",
            "min: 1, opt: 8, max: 4",
            "recipe.yaml:7:17  model.dims.batch  needs 1 ≤ min ≤ opt ≤ max, has 1, 8, 4",
        ),
        (
            "max: 64}}",
            "max: 64}, bacth: {}}",
            None,
        ),
    ],
)
def test_dynamic_dimensions_are_declared_and_ordered(
    messages_of: Messages, old: str, new: str, message: str | None
) -> None:
    found = messages_of(replaced(old, new))
    if message:
        assert found == [message]
    else:
        assert "recipe.yaml:7:44  model.dims.bacth  no input has this dimension  (did you mean 'batch'?)" in found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("output: logits}", "output: logits, data: evaluaton}", "recipe.yaml:12:48  metrics.top1.data  there is no data.evaluaton  (did you mean 'evaluation'?)"),
        ("  evaluation: {dataset: images, split: test}\n", "", "recipe.yaml:11:9  metrics.top1.data  there is no data.evaluation  (did you mean 'calibration'?)"),
        ("  top1: {kind", "  latency: {kind", "recipe.yaml:12:3  metrics.latency  'latency' is measured anyway  (give the metric another name)"),
        ("  top1: {kind", "  a/b: {kind", "recipe.yaml:12:3  metrics.a/b  should be a name of letters, digits, '.', '_' and '-', not \"a/b\""),
        ("  top1: {max_drop: 1e-2}", "  top1: {max_ratio: 0.4}", "recipe.yaml:16:10  gates.top1.max_ratio  does not apply to top1  (use max_drop or min or max or max_regression)"),
        ("{min_speedup: 1.5}", "{max_drop: 1.5}", "recipe.yaml:17:13  gates.latency.max_drop  does not apply to latency  (use min_speedup or max_regression)"),
        ("{max_ratio: 0.4}", "{min: 0.4}", "recipe.yaml:18:10  gates.size.min  does not apply to size  (use max_ratio or max_regression)"),
        ("{max_ratio: 0.4}", "{}", "recipe.yaml:18:9  gates.size  demands nothing  (add max_ratio or max_regression)"),
        ("{max_ratio: 0.4}", "{inconclusive: pass}", "recipe.yaml:18:9  gates.size  demands nothing  (add max_ratio or max_regression)"),
        ("{max_ratio: 0.4}", "{max_ratio: 0.4, unmeasured: skip}", "recipe.yaml:18:38  gates.size.unmeasured  should be 'fail' or 'pass', not \"skip\""),
        ("{max_drop: 1e-2}", "{each: {label: {}}}", "recipe.yaml:16:24  gates.top1.each.label  demands nothing  (add max_drop or min or max)"),
        ("{max_drop: 1e-2}", "{each: {label: {max_dorp: 1}}}", "recipe.yaml:16:25  gates.top1.each.label.max_dorp  unknown key  (did you mean 'max_drop'?)"),
        ("{max_drop: 1e-2}", "{each: {a=b: {min: 1}}}", "recipe.yaml:16:17  gates.top1.each.a=b  should be a name of letters"),
        ("{max_ratio: 0.4}", "{max_ratio: 0.4, each: {label: {min: 1}}}", "recipe.yaml:18:26  gates.size.each  size has no slices  (only metrics do)"),
        ("  size:", "  top5:", "recipe.yaml:18:3  gates.top5  no such metric  (did you mean 'top1'?)"),
        ("  calibration:", "  calib/x:", "recipe.yaml:9:3  data.calib/x  should be a name of letters, digits, '.', '_' and '-', not \"calib/x\""),
    ],
)  # fmt: skip
def test_names_of_data_metrics_and_gates_fit_together(messages_of: Messages, old: str, new: str, message: str) -> None:
    assert any(found.startswith(message) for found in messages_of(replaced(old, new)))


def test_a_gate_may_demand_something_of_each_slice(parse: Parse) -> None:
    gate = parse(replaced("{max_drop: 1e-2}", "{each: {label: {max_drop: 0.1, inconclusive: pass}}}")).gates["top1"]
    assert gate == Gate(each={"label": SliceGate(max_drop=0.1, inconclusive="pass")})


def test_a_gate_of_a_broken_metric_is_not_reported_too(messages_of: Messages) -> None:
    assert len(messages_of(replaced("kind: accuracy", "kind: acuracy"))) == 1


def test_steps_of_a_broken_model_are_not_reported_too(messages_of: Messages) -> None:
    text = "name: m\nmodel: {onnx: model.onnx, trst: true}\nsteps: [simplify]\n"
    assert messages_of(text) == ["recipe.yaml:2:27  model.trst  unknown key  (did you mean 'trust'?)"]


def test_all_mistakes_come_at_once_in_the_order_of_lines(problems_of: Callable[..., tuple[Problem, ...]]) -> None:
    text = GOOD
    for old, new in (
        ("weights.safetensors", "gone.st"),
        ("samples: 256", "samples: x"),
        ("kind: accuracy", "kind: f1"),
        ("simplify,", "simplyfy,"),
        ("ranges: mse", "ranges: mes"),
        ("max_ratio", "max_drop"),
        ("package:", "packag:"),
    ):
        text = text.replace(old, new)
    found = problems_of(text)
    assert [problem.path for problem in found] == [
        "model.weights", "data.calibration.samples", "metrics.top1.kind", "steps[1]", "steps[2].quantize.ranges",
        "gates.size.max_drop", "packag",
    ]  # fmt: skip
    assert [problem.line for problem in found] == [4, 9, 12, 14, 14, 18, 20]


def test_a_duplicate_key_is_reported_beside_other_mistakes(messages_of: Messages) -> None:
    found = messages_of(GOOD + "name: again\ntrget: x\n")
    assert found == [
        "recipe.yaml:21:1  name  duplicate key, first on line 1",
        "recipe.yaml:22:1  trget  unknown section  (did you mean 'target'?)",
    ]


def test_an_override_reaches_the_step(parse: Parse) -> None:
    assert parse(GOOD, "steps.quantize.ranges=kl").steps[2].do.config()["ranges"] == "kl"  # not on Pass
    assert parse(GOOD, "steps.export.opset=17").steps[0].do.config() == {"opset": 17}  # not on Pass


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "steps.quantize.rangs=kl",
            "--set steps.quantize.rangs=kl  steps[2].quantize.rangs  unknown key  (did you mean 'ranges'?)",
        ),
        (
            "steps.quantize.ranges=kll",
            "--set steps.quantize.ranges=kll  steps[2].quantize.ranges  should be 'minmax', 'mse' or 'kl', not \"kll\"  (did you mean 'kl'?)",
        ),
        (
            "steps.export.opset=new",
            '--set steps.export.opset=new  steps[0].export.opset  should be a valid integer, not "new"',
        ),
        ("mesure.threads=1", "--set mesure.threads=1  mesure  unknown section  (did you mean 'measure'?)"),
        ("target=tenorrt", "--set target=tenorrt  target  unknown target 'tenorrt'  (did you mean 'tensorrt'?)"),
        (
            "gates.size={max_ratoi: 1}",
            "--set gates.size={max_ratoi: 1}  gates.size.max_ratoi  unknown key  (did you mean 'max_ratio'?)",
        ),
        (
            "model.weights=gone",
            "--set model.weights=gone  model.weights  no such file: gone  (paths are relative to the recipe)",
        ),
    ],
)
def test_a_mistake_in_an_override_is_placed_there(messages_of: Messages, override: str, message: str) -> None:
    assert message in messages_of(GOOD, override)


def test_an_override_can_mend_a_recipe(parse: Parse) -> None:
    assert (
        parse(replaced("target: onnxruntime-cpu", "target: gpu"), "target=tensorrt").targets["quantize"] == "tensorrt"
    )


def test_a_missing_recipe_is_named(host: Host, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read: No such file or directory"):
        parse_recipe(tmp_path / "recipe.yaml", TABLES, host)


INC = """\
name: two-views
model: {source}
data: {{calibration: {{dataset: images}}}}
steps: [{first}simplify, quantize-inc]
"""
FACTORY = "{factory: model.py:build, inputs: {x: {dtype: float32, shape: [1, 4]}}}"


def test_a_pass_may_also_read_the_model_as_it_was_given(folder: Path, host: Host) -> None:
    (folder / "recipe.yaml").write_text(INC.format(source=FACTORY, first="export, "))
    recipe = parse_recipe(Path("recipe.yaml"), load_tables(), host)
    assert recipe.steps[-1].inputs == {
        "model": "simplify", "original": "model", "calibration": "data.calibration",
    }  # fmt: skip


def test_an_onnx_file_is_not_the_original_that_a_pass_wants(folder: Path, host: Host) -> None:
    (folder / "recipe.yaml").write_text(INC.format(source="{onnx: model.onnx}", first=""))
    with pytest.raises(RecipeError, match="quantize-inc takes torch as original, but model is onnx-source"):
        parse_recipe(Path("recipe.yaml"), load_tables(), host)
