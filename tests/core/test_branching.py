"""Several targets: one chain as long as they agree, then a branch for each."""

# ruff: noqa: E501  # whole lines, as a user sees them
from __future__ import annotations

from collections.abc import Callable

import pytest

from optkit.core.objective import Objective
from optkit.core.recipe import Recipe
from tests.core.sample_tables import Quantize

Parse = Callable[..., Recipe]
Messages = Callable[..., list[str]]

HEAD = """\
name: m
model: {factory: model.py:build, inputs: {x: {dtype: int64, shape: [2]}}}
data: {calibration: {dataset: images}}
"""
BOTH = HEAD + "targets: [onnxruntime-cpu, tensorrt]\n"
STEPS = "steps: [export, simplify, quantize]\n"


def wiring(recipe: Recipe) -> dict[str, str]:
    return {step.name: step.inputs["model"] for step in recipe.steps}


def test_the_chain_parts_where_a_target_makes_a_difference(parse: Parse) -> None:
    recipe = parse(BOTH + STEPS)
    assert wiring(recipe) == {
        "export": "model",
        "simplify": "export",
        "quantize-onnxruntime-cpu": "simplify",
        "quantize-tensorrt": "simplify",
    }
    assert recipe.leaves == ("quantize-onnxruntime-cpu", "quantize-tensorrt")
    assert [recipe.targets[leaf] for leaf in recipe.leaves] == ["onnxruntime-cpu", "tensorrt"]
    assert [step.do.target for step in recipe.steps if isinstance(step.do, Quantize)] == ["onnxruntime-cpu", "tensorrt"]


def test_what_follows_such_a_step_belongs_to_its_branch(parse: Parse) -> None:
    recipe = parse(BOTH + "steps: [export, quantize, {id: clean, simplify: {}}]\n")
    assert wiring(recipe)["clean-tensorrt"] == "quantize-tensorrt"
    assert [step.name for step in recipe.steps] == [
        "export", "quantize-onnxruntime-cpu", "clean-onnxruntime-cpu", "quantize-tensorrt", "clean-tensorrt",
    ]  # fmt: skip


def test_each_target_has_a_candidate_of_its_own_even_if_all_steps_are_equal(parse: Parse) -> None:
    assert parse(BOTH + "steps: [export, simplify]\n").leaves == ("simplify-onnxruntime-cpu", "simplify-tensorrt")


def test_branches_of_the_recipe_are_made_for_each_target(parse: Parse) -> None:
    recipe = parse(BOTH + "steps: [export, {id: a, quantize: {}}, {id: b, from: export, quantize: {ranges: kl}}]\n")
    assert recipe.leaves == ("a-onnxruntime-cpu", "b-onnxruntime-cpu", "a-tensorrt", "b-tensorrt")


def test_an_override_reaches_every_branch(parse: Parse) -> None:
    recipe = parse(BOTH + STEPS, "steps.quantize.ranges=kl")
    assert [step.do.ranges for step in recipe.steps if isinstance(step.do, Quantize)] == ["kl", "kl"]


def test_one_target_in_the_list_is_a_plain_recipe(parse: Parse) -> None:
    listed = parse(HEAD + "targets: [tensorrt]\n" + STEPS)
    assert (listed.leaves, listed.alternatives, listed.objective) == (("quantize",), (), None)
    assert listed.targets["quantize"] == "tensorrt"


def test_auto_stands_for_all_that_can_be_timed(parse: Parse) -> None:
    assert set(parse(HEAD + "target: auto\n" + STEPS).targets.values()) == {"onnxruntime-cpu"}


def test_a_recipe_that_chooses_has_an_objective(parse: Parse) -> None:
    assert parse(BOTH + STEPS).objective == Objective("min_latency")
    assert parse(BOTH + STEPS + "objective: pareto\n").objective == Objective("pareto")
    within = "objective: {kind: max_throughput, max_latency_ms: 10}\n"
    assert parse(BOTH + STEPS + within).objective == Objective("max_throughput", 10)
    assert parse(HEAD + STEPS).objective is None
    assert parse(HEAD + STEPS + "objective: min_size\n").objective == Objective("min_size")


def test_a_recipe_keeps_some_candidates_and_what_leads_to_them(parse: Parse) -> None:
    recipe = parse(BOTH + STEPS)
    kept = recipe.keeping(["quantize-tensorrt"])
    assert [step.name for step in kept.steps] == ["export", "simplify", "quantize-tensorrt"]
    assert kept.leaves == ("quantize-tensorrt",)
    assert recipe.leaves_of("simplify") == recipe.leaves
    assert recipe.leaves_of("quantize-tensorrt") == ("quantize-tensorrt",)


MISTAKES = {
    "unknown": ("targets: [onnxruntime-cpu, tensort]\n", "recipe.yaml:5:28  targets[1]  unknown target 'tensort'  (did you mean 'tensorrt'?)"),
    "auto in a list": ("targets: [auto]\n", "recipe.yaml:5:11  targets[0]  unknown target 'auto'  (write target: auto)"),
    "twice": ("targets: [tensorrt, tensorrt]\n", "recipe.yaml:5:21  targets[1]  'tensorrt' is listed twice  (name each target once)"),
    "no list": ("targets: tensorrt\n", "recipe.yaml:5:10  targets  should be a list of targets  (for example [onnxruntime-cpu, openvino-cpu])"),
    "empty": ("targets: []\n", "recipe.yaml:5:10  targets  should be a list of targets  (for example [onnxruntime-cpu, openvino-cpu])"),
    "both": ("targets: [tensorrt]\ntarget: tensorrt\n", "recipe.yaml:5:1  targets  goes without target  (name all of them here)"),
    "no name": ("target: [tensorrt]\n", "recipe.yaml:5:9  target  should be a name of letters, digits, '.', '_' and '-', not [\"tensorrt\"]"),
    "objective": ("objective: fastest\n", "recipe.yaml:5:12  objective  should be 'min_latency', 'max_throughput', 'min_size' or 'pareto', not \"fastest\""),
    "a bound for nothing": ("objective: {max_latency_ms: 3}\n", "recipe.yaml:5:13  objective.max_latency_ms  does not go with min_latency  (use kind: max_throughput)"),
    "no bound": ("objective: {kind: max_throughput, max_latency_ms: -1}\n", "recipe.yaml:5:51  objective.max_latency_ms  should be above 0, not -1"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_has_its_place(lines: str, expected: str, messages_of: Messages) -> None:
    head, steps = HEAD.rstrip("\n") + "\n", "steps: [export]\n"
    assert messages_of(head + steps.replace("\n", "") + "\n" + lines) == [expected]


def test_a_step_has_no_target_of_its_own_then(messages_of: Messages) -> None:
    (message,) = messages_of(BOTH + "steps: [export, quantize: {target: tensorrt}]\n")
    assert message == (
        "recipe.yaml:5:28  steps[1].quantize.target  goes without a target of its own: the recipe has several  (leave it out)"
    )


def test_a_mistake_in_a_step_is_said_once(messages_of: Messages) -> None:
    assert len(messages_of(BOTH + "steps: [export, quantize: {rangs: kl}]\n")) == 1


def test_a_name_that_a_branch_needs_is_taken(messages_of: Messages) -> None:
    messages = messages_of(BOTH + "steps: [export, {id: quantize-tensorrt, simplify: {}}, quantize]\n")
    assert messages == [
        "recipe.yaml:5:8  steps  the id 'quantize-tensorrt' is taken  (it is needed for one of the targets)"
    ]
