"""Steps: chains, branches, roles, kinds and targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from optkit.core.recipe import Recipe
from tests.core.sample_tables import Quantize

if TYPE_CHECKING:
    from optkit.core.passes import Host

Parse = Callable[..., Recipe]
Messages = Callable[..., list[str]]

HEAD = """\
name: m
model: {factory: model.py:build, inputs: {x: {dtype: int64, shape: [2]}}}
data: {calibration: {dataset: images}}
steps:
"""
NO_DATA = HEAD.replace("data: {calibration: {dataset: images}}", "data: {}")
BRANCHES = """\
  - export
  - simplify
  - quantize
  - {id: gpu, from: simplify, quantize: {target: tensorrt}}
  - {id: gpu-small, quantize: {ranges: kl}}
  - {id: again, from: export, simplify: {}}
"""


def test_branches_start_where_they_say(parse: Parse) -> None:
    recipe = parse(HEAD + BRANCHES)
    assert {step.name: step.inputs["model"] for step in recipe.steps} == {
        "export": "model",
        "simplify": "export",
        "quantize": "simplify",
        "gpu": "simplify",
        "gpu-small": "gpu",
        "again": "export",
    }


def test_every_step_that_nothing_continues_is_a_candidate(parse: Parse) -> None:
    assert parse(HEAD + BRANCHES).leaves == ("quantize", "gpu-small", "again")


def test_a_branch_inherits_the_target_that_it_starts_with(parse: Parse) -> None:
    recipe = parse(HEAD + BRANCHES)
    assert dict(recipe.targets) == {
        "export": "onnxruntime-cpu",
        "simplify": "onnxruntime-cpu",
        "quantize": "onnxruntime-cpu",
        "gpu": "tensorrt",
        "gpu-small": "tensorrt",
        "again": "onnxruntime-cpu",
    }
    by_name = {step.name: step.do for step in recipe.steps}
    assert by_name["gpu-small"].config()["target"] == "tensorrt"  # not on Pass


def test_defaults_that_depend_on_the_machine_are_filled_in(parse: Parse) -> None:
    assert parse(HEAD + "  - export\n  - quantize\n").steps[1].do == Quantize(
        target="onnxruntime-cpu", reduce_range=True
    )


def test_an_explicit_option_beats_the_machine(parse: Parse, host: Host) -> None:
    assert "avx512_vnni" not in host.flags
    step = parse(HEAD + "  - export\n  - quantize: {reduce_range: false}\n").steps[1]
    assert step.do == Quantize(target="onnxruntime-cpu", reduce_range=False)


def test_a_role_that_the_configuration_does_not_use_stays_empty(parse: Parse) -> None:
    step = parse(NO_DATA + "  - export\n  - quantize: {method: dynamic}\n").steps[1]
    assert step.inputs == {"model": "export"}


def test_an_optional_role_may_stay_empty(parse: Parse) -> None:
    assert parse(NO_DATA + "  - distill\n  - export\n").steps[0].inputs == {"model": "model"}


def test_an_optional_role_is_filled_if_it_can_be(parse: Parse) -> None:
    text = HEAD.replace("{calibration:", "{train: {dataset: images}, calibration:") + "  - distill\n"
    assert parse(text).steps[0].inputs == {"model": "model", "train": "data.train"}


def test_an_onnx_source_is_imported_first(parse: Parse) -> None:
    recipe = parse("name: m\nmodel: {onnx: model.onnx}\nsteps: [simplify, {id: b, from: import, simplify: }]\n")
    assert [(step.name, step.inputs["model"]) for step in recipe.steps] == [
        ("import", "model"), ("simplify", "import"), ("b", "import"),
    ]  # fmt: skip
    assert recipe.reference == "import"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            "  - export\n  - {id: b, from: exprt, simplify: }\n",
            "recipe.yaml:6:19  steps[1].from  no earlier step 'exprt'  (did you mean 'export'?)",
        ),
        (
            "  - export\n  - {id: b, from: later, simplify: }\n  - {id: later, simplify: }\n",
            "recipe.yaml:6:19  steps[1].from  no earlier step 'later'  (one of export, model)",
        ),
        (
            "  - export\n  - {id: b, from: [export], simplify: }\n",
            "recipe.yaml:6:19  steps[1].from  no earlier step ['export']  (did you mean 'export'?)",
        ),
        (
            "  - export\n  - {id: b, form: export, simplify: }\n",
            "recipe.yaml:6:13  steps[1].form  unknown key  (did you mean 'from'?)",
        ),
        (
            "  - export\n  - simplify\n  - simplify\n",
            "recipe.yaml:7:5  steps[2].id  the id 'simplify' is taken  (give each step its own id)",
        ),
        (
            "  - {id: model, export: }\n",
            "recipe.yaml:5:10  steps[0].id  the id 'model' is taken  (give each step its own id)",
        ),
        (
            "  - {id: data.calibration, export: }\n",
            "recipe.yaml:5:10  steps[0].id  the id 'data.calibration' is taken  (give each step its own id)",
        ),
        (
            "  - {id: 3, export: }\n",
            "recipe.yaml:5:10  steps[0].id  should be a name of letters, digits, '.', '_' and '-', not 3",
        ),
        (
            "  - {id: ../../home, export: }\n",
            "recipe.yaml:5:10  steps[0].id  should be a name of letters, digits, '.', '_' and '-', not \"../../home\"",
        ),
        (
            "  - {id: b}\n",
            "recipe.yaml:5:5  steps[0]  should name exactly one pass  (one of distill, export, quantize, simplify)",
        ),
        (
            "  - {export: , simplify: }\n",
            "recipe.yaml:5:5  steps[0]  should name exactly one pass  (one of distill, export, quantize, simplify)",
        ),
        (
            "  - 3\n",
            "recipe.yaml:5:5  steps[0]  should name exactly one pass  (one of distill, export, quantize, simplify)",
        ),
        ("  - import\n", "recipe.yaml:5:5  steps[0]  unknown pass 'import'  (did you mean 'export'?)"),
        (
            "  - export\n  - quantize: {target: tensort}\n",
            "recipe.yaml:6:24  steps[1].quantize.target  unknown target 'tensort'  (did you mean 'tensorrt'?)",
        ),
        (
            "  - simplify\n",
            "recipe.yaml:5:5  steps[0].simplify  simplify takes onnx as model, but model is torch",
        ),
        (
            "  - export\n  - {id: b, export: {}}\n",
            "recipe.yaml:6:13  steps[1].export  b takes program or torch as model, but export is onnx",
        ),
        (
            "  - export\n  - {id: b, from: model, quantize: }\n",
            "recipe.yaml:6:26  steps[1].quantize  b takes onnx as model, but model is torch",
        ),
    ],
)
def test_a_wrong_step_is_named(messages_of: Messages, steps: str, message: str) -> None:
    assert messages_of(HEAD + steps) == [message]


def test_a_missing_part_of_the_data_is_named_for_each_step(messages_of: Messages) -> None:
    steps = "  - export\n  - quantize\n  - {id: gpu, from: export, quantize: {}}\n"
    assert messages_of(NO_DATA + steps) == [
        "recipe.yaml:6:5  steps[1].quantize  needs data.calibration  (add calibration under data)",
        "recipe.yaml:7:29  steps[2].quantize  needs data.calibration  (add calibration under data)",
    ]


def test_broken_data_is_not_reported_for_the_steps_too(messages_of: Messages) -> None:
    text = HEAD.replace("{dataset: images}", "{dataset: images, splt: a}")
    assert len(messages_of(text + "  - export\n  - quantize\n")) == 1


def test_steps_after_a_broken_one_are_still_checked(messages_of: Messages) -> None:
    steps = "  - export: {opst: 1}\n  - simplify: {x: 1}\n  - quantize: {ranges: none}\n"
    assert [line.split("  ")[1] for line in messages_of(HEAD + steps)] == [
        "steps[0].export.opst", "steps[1].simplify.x", "steps[2].quantize.ranges",
    ]  # fmt: skip


def test_a_wrong_target_of_the_recipe_is_reported_once(messages_of: Messages) -> None:
    assert len(messages_of(HEAD + "  - export\n  - simplify\ntarget: gpu\n")) == 1


@pytest.mark.parametrize("steps", ["steps: []", "steps: export", "steps: {export: }", "steps:"])
def test_steps_are_a_list(messages_of: Messages, steps: str) -> None:
    (message,) = messages_of(HEAD.replace("steps:", steps))
    assert "steps  should be a list of passes  (for example [export, simplify])" in message
