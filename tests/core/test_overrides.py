"""`--set path=value` on recipes as written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from optkit.core import yaml
from optkit.core.errors import UsageError
from optkit.core.overrides import apply_override, step_name

if TYPE_CHECKING:
    from optkit.core.yaml import Document

TEXT = """\
name: digits
data:
measure: {threads: 2}
model: {dims: {batch: {max: 8}}, outputs: [logits]}
steps:
  - export
  - quantize: {ranges: mse}
  - simplify:
  - {id: gpu, from: export, quantize: {ranges: kl}}
  - {id: broken, quantize: {}, export: {}}
  - {id: number, quantize: 3}
"""


def changed(*texts: str) -> Document:
    document = yaml.parse(TEXT, "r.yaml")
    for text in texts:
        apply_override(document, text)
    return document


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("name=letters", ("name",), "letters"),
        ("measure.threads=4", ("measure", "threads"), 4),
        ("measure.seconds=1e-1", ("measure", "seconds"), 0.1),
        ("model.dims.batch.max=16", ("model", "dims", "batch", "max"), 16),
        ("model.outputs=[a, b]", ("model", "outputs"), ["a", "b"]),
        ("data.train.dataset=images", ("data", "train", "dataset"), "images"),
        ("gates.top1.max_drop=0.02", ("gates", "top1", "max_drop"), 0.02),
        ("steps.quantize.ranges=kl", ("steps", 1, "quantize", "ranges"), "kl"),
        ("steps.export.opset=17", ("steps", 0, "export", "opset"), 17),
        ("steps.simplify.limit=1", ("steps", 2, "simplify", "limit"), 1),
        ("steps.gpu.ranges=mse", ("steps", 3, "quantize", "ranges"), "mse"),
        ("steps.gpu.smooth.strength=1", ("steps", 3, "quantize", "smooth", "strength"), 1),
        ("name=a=b", ("name",), "a=b"),
        ("name=", ("name",), None),
    ],
)
def test_a_value_is_set_and_placed_at_the_override(text: str, path: yaml.KeyPath, value: object) -> None:
    document = changed(text)
    here: Any = document.data
    for part in path:
        here = here[part]
    assert here == value
    assert document.mark(path) == yaml.Mark(f"--set {text}", 0, 0)
    assert document.mark(path, key=True) == yaml.Mark(f"--set {text}", 0, 0)


def test_the_rest_stays_as_written() -> None:
    document = changed("steps.quantize.ranges=kl")
    assert document.data["name"] == "digits"
    assert document.data["steps"][3]["quantize"] == {"ranges": "kl"}
    assert document.mark(("name",)).line == 1


def test_what_an_override_replaces_has_no_places_left() -> None:
    document = changed("model.dims=3")
    assert document.mark(("model", "dims", "batch", "max")) == yaml.Mark("--set model.dims=3", 0, 0)


def test_the_last_override_wins() -> None:
    assert changed("name=a", "name=b").data["name"] == "b"


def test_a_section_that_only_an_override_names_is_placed_there() -> None:
    document = changed("mesure.threads=3")
    assert document.mark(("mesure",), key=True).file == "--set mesure.threads=3"
    assert document.mark(("model",), key=True).file == "r.yaml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name",
            "--set name: should read path=value\nfor example --set steps.quantize.ranges=kl",
        ),
        ("=3", "--set =3: should read path=value\nfor example --set steps.quantize.ranges=kl"),
        ("a..b=3", "--set a..b=3: should read path=value\nfor example --set steps.quantize.ranges=kl"),
        ("name.first=x", "--set name.first=x: name is a value, not a section"),
        ("model.outputs.first.x=1", "--set model.outputs.first.x=1: model.outputs is a value, not a section"),
        ("model.outputs.0=x", "--set model.outputs.0=x: model.outputs is a value, not a section"),
        (
            "steps.quantise.ranges=kl",
            "--set steps.quantise.ranges=kl: no step 'quantise'\ndid you mean 'quantize'?",
        ),
        ("steps.zzz.x=1", "--set steps.zzz.x=1: no step 'zzz'\none of broken, export, gpu, number, quantize, simplify"),
        ("steps.broken.x=1", None),
        ("steps.number.x=1", "--set steps.number.x=1: steps[5].quantize is a value, not a section"),
        (
            "steps.quantize=3",
            "--set steps.quantize=3: name a step's option\nfor example --set steps.quantize.ranges=kl",
        ),
        ("name=[1", None),
    ],
)
def test_an_override_that_leads_nowhere_says_so(text: str, message: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        changed(text)
    assert message is None or str(caught.value) == message


@pytest.mark.parametrize(
    "steps", ["", "steps: 3", "steps: {quantize: {}}", "steps: []", "steps: [3, [x], {id: 3, q: }]"]
)
def test_steps_of_another_shape_are_refused_without_a_crash(steps: str) -> None:
    with pytest.raises(UsageError):
        apply_override(yaml.parse(f"name: x\n{steps}", "r.yaml"), "steps.quantize.ranges=kl")


@pytest.mark.parametrize(
    ("item", "names"),
    [
        ("export", ("export", "export")),
        ({"quantize": {}}, ("quantize", "quantize")),
        ({"id": "gpu", "from": "export", "quantize": {}}, ("gpu", "quantize")),
        ({"id": "gpu"}, ("gpu", "")),
        ({"quantize": {}, "export": {}}, ("", "")),
        (3, ("", "")),
    ],
)
def test_a_step_has_a_name_and_a_pass(item: object, names: tuple[str, str]) -> None:
    assert step_name(item) == names
