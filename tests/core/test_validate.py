"""Data into typed values: every mistake at its place, each once, with the nearest known word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from optkit.core import yaml
from optkit.core.interface import Dim
from optkit.core.recipe import DataSpec, InputSpec, MeasureSpec, ModelSpec
from optkit.core.validate import build, check_name, did_you_mean
from tests.core.sample_tables import Quantize, Smooth


@dataclass(frozen=True)
class Even:
    """A type with a rule of its own."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    number: int = 2

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError("number should be even")


def built(kind: type, text: str) -> tuple[Any, list[str]]:
    """Returns the value in a text and the mistakes in it."""
    document = yaml.parse(text, "r.yaml")
    value: object = build(kind, document.data, document, ())
    return value, [str(problem) for problem in document.problems]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Dim, "{min: 1, opt: 2, max: 4}", Dim(1, 2, 4)),
        (Dim, "{}", Dim()),
        (InputSpec, "{dtype: int64, shape: [batch, 8], range: [0, 9]}", InputSpec("int64", ("batch", 8), (0.0, 9.0))),
        (DataSpec, "{dataset: images, samples: 3}", DataSpec("images", None, 3)),
        (MeasureSpec, "{seconds: 3}", MeasureSpec(seconds=3.0)),
        (Quantize, "{bits: [4, 8], keep: [a]}", Quantize(bits=(4, 8), keep=("a",))),
        (Quantize, "{smooth: {strength: 1}}", Quantize(smooth=Smooth(1.0))),
        (Quantize, "{smooth: null}", Quantize()),
        (ModelSpec, "outputs: {logits: [batch, 10]}", ModelSpec(outputs={"logits": ("batch", 10)})),
    ],
)
def test_good_data_becomes_the_type(kind: type, text: str, value: object) -> None:
    assert built(kind, text) == (value, [])


@pytest.mark.parametrize(
    ("kind", "text", "messages"),
    [
        (Quantize, "rangs: mse", ["r.yaml:1:1  rangs  unknown key  (did you mean 'ranges'?)"]),
        (
            Quantize,
            "zzz: 1",
            ["r.yaml:1:1  zzz  unknown key  (one of bits, keep, method, ranges, reduce_range, smooth, target)"],
        ),
        (Quantize, "smooth: {strenth: 1}", ["r.yaml:1:10  smooth.strenth  unknown key  (did you mean 'strength'?)"]),
        (
            ModelSpec,
            "inputs:\n  x: {dtype: int8, shpe: [1]}",
            [
                "r.yaml:2:20  inputs.x.shpe  unknown key  (did you mean 'shape'?)",
                "r.yaml:2:6  inputs.x.shape  is missing",
            ],
        ),
        (ModelSpec, "dims: {batch: {mni: 1}}", ["r.yaml:1:16  dims.batch.mni  unknown key  (did you mean 'min'?)"]),
    ],
)
def test_an_unknown_key_gets_the_nearest_one(kind: type, text: str, messages: list[str]) -> None:
    value, found = built(kind, text)
    assert value is None
    assert sorted(found) == messages  # as text: 20 before 6


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (Dim, "min: one", 'r.yaml:1:6  min  should be a valid integer, not "one"'),
        (Dim, "min: 1.5", "r.yaml:1:6  min  should be a valid integer, not 1.5"),
        (Dim, "min: true", "r.yaml:1:6  min  should be a valid integer, not true"),
        (Dim, "min: null", "r.yaml:1:6  min  should be a valid integer, not null"),
        (ModelSpec, "trust: yes", 'r.yaml:1:8  trust  should be a valid boolean, not "yes"'),
        (ModelSpec, "trust: 1", "r.yaml:1:8  trust  should be a valid boolean, not 1"),
        (ModelSpec, "factory: 3", "r.yaml:1:10  factory  should be a valid string, not 3"),
        (Dim, "[1, 2]", "r.yaml:1:1  (whole file)  should be a mapping, not [1, 2]"),
        (Dim, "", "r.yaml:1:1  (whole file)  should be a mapping, not null"),
        (ModelSpec, "inputs: [x]", 'r.yaml:1:9  inputs  should be a mapping, not ["x"]'),
        (ModelSpec, "inputs: {x: 3}", "r.yaml:1:13  inputs.x  should be a mapping, not 3"),
        (DataSpec, "{split: train}", "r.yaml:1:1  dataset  is missing"),
        (
            Quantize,
            "ranges: mze",
            "r.yaml:1:9  ranges  should be 'minmax', 'mse' or 'kl', not \"mze\"  (did you mean 'mse'?)",
        ),
        (Quantize, "ranges: 3", "r.yaml:1:9  ranges  should be 'minmax', 'mse' or 'kl', not 3"),
        (Quantize, "keep: all", 'r.yaml:1:7  keep  should be a valid array, not "all"'),
        (
            InputSpec,
            "{dtype: int8, shape: [1], range: [1, 2, 3]}",
            "r.yaml:1:34  range  Tuple should have at most 2 items after validation, not 3",
        ),
        (InputSpec, "{dtype: int8, shape: [1], range: [1]}", "r.yaml:1:34  range[1]  is missing"),
        (Even, "number: 3", "r.yaml:1:1  (whole file)  number should be even"),
    ],
)
def test_a_wrong_type_is_named_with_what_was_given(kind: type, text: str, message: str) -> None:
    assert built(kind, text) == (None, [message])


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (Quantize, "bits: x", 'r.yaml:1:7  bits  should be a valid integer or a valid array, not "x"'),
        (Quantize, "bits: [4, x]", 'r.yaml:1:11  bits[1]  should be a valid integer, not "x"'),
        (Quantize, "bits: {a: 1}", 'r.yaml:1:7  bits  should be a valid integer or a valid array, not {"a": 1}'),
        (ModelSpec, "outputs: 5", "r.yaml:1:10  outputs  should be a valid array or a mapping, not 5"),
        (ModelSpec, "outputs: [1]", "r.yaml:1:11  outputs[0]  should be a valid string, not 1"),
        (
            ModelSpec,
            "outputs: {logits: [1.5]}",
            "r.yaml:1:20  outputs.logits[0]  should be a valid integer or a valid string, not 1.5",
        ),
    ],
)
def test_a_union_is_reported_once_and_at_the_deepest_place(kind: type, text: str, message: str) -> None:
    assert built(kind, text) == (None, [message])


def test_all_mistakes_are_found_at_once() -> None:
    _, found = built(Quantize, "ranges: none\nkeep: 1\nmethd: static\n")
    assert len(found) == 3


def test_a_long_value_is_shortened() -> None:
    _, (message,) = built(Dim, f"min: {'x' * 200}")
    assert message.endswith(f'"{"x" * 56}...')
    assert len(message) < 120


def test_a_huge_number_does_not_break_the_message() -> None:
    _, found = built(Dim, f"min: {'9' * 5000}\nmax: 0x{'f' * 5000}")
    assert len(found) == 2


def test_a_number_that_is_no_number_passes_as_a_float() -> None:
    value, found = built(MeasureSpec, "seconds: .nan")
    assert not found
    assert value.seconds != value.seconds  # NaN


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("simplfy", "did you mean 'simplify'?"),
        ("zzz", "one of export, simplify"),
        ("", "one of export, simplify"),
    ],
)
def test_the_hint_is_the_nearest_word_or_all(word: str, hint: str) -> None:
    assert did_you_mean(word, {"simplify", "export"}) == hint


def test_nothing_known_gives_no_hint() -> None:
    assert did_you_mean("x", []) == ""


@pytest.mark.parametrize(("name", "fits"), [
    ("digits", True), ("a.b-c_1", True), ("_x", True), ("1", True),
    ("", False), ("..", False), (".hidden", False), ("a/b", False), ("../x", False), ("a b", False), ("-o", False),
    (3, False), (None, False), (["x"], False), ("x\n", False),
])  # fmt: skip
def test_names_can_name_files(name: object, *, fits: bool) -> None:
    document = yaml.parse("a: 1", "r.yaml")
    assert check_name(name, document, ("a",)) is fits
    assert bool(document.problems) is not fits
