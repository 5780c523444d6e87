"""What goes out: events as JSON, and errors with their exit codes."""

from __future__ import annotations

import json

import pytest

from optkit.core import errors
from optkit.core.errors import OptkitError, Problem, RecipeError
from optkit.core.events import Event, Note, ObjectDamaged, StepFinished, StepProgress, StepStarted


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (StepStarted("export"), {"event": "step-started", "step": "export"}),
        (StepProgress("export", 0.5), {"event": "step-progress", "step": "export", "fraction": 0.5, "text": ""}),
        (ObjectDamaged("export", "ab"), {"event": "object-damaged", "step": "export", "digest": "ab"}),
        (Note("no gate"), {"event": "note", "text": "no gate"}),
        (
            StepFinished("export", "onnx", "ab", cached=True, key="cd", record={"seconds": 1.5}),
            {
                "event": "step-finished",
                "step": "export",
                "kind": "onnx",
                "digest": "ab",
                "cached": True,
                "key": "cd",
                "record": {"seconds": 1.5},
            },
        ),
    ],
)
def test_an_event_is_a_line_of_json(event: Event, data: dict[str, object]) -> None:
    assert json.loads(json.dumps(event.to_json())) == data


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("OptkitError", 70),
        ("UsageError", 2),
        ("RecipeError", 2),
        ("GateFailed", 3),
        ("MissingDependency", 4),
        ("StepFailed", 5),
        ("VerifyFailed", 6),
    ],
)
def test_every_error_has_its_exit_code(name: str, code: int) -> None:
    kind: type[OptkitError] = getattr(errors, name)
    assert kind.exit_code == code
    assert f"{name}" in (errors.__doc__ or "")


def test_the_hint_stands_below_the_message() -> None:
    assert str(OptkitError("what", hint="how")) == "what\nhow"
    assert str(OptkitError("what")) == "what"


def test_problems_are_sorted_by_place_and_told_once() -> None:
    later, sooner = Problem("r", 10, 1, "b", "x"), Problem("r", 9, 5, "a", "y", "z")
    assert str(RecipeError([later, sooner, later])) == "r:9:5  a  y  (z)\nr:10:1  b  x"


def test_a_problem_outside_a_file_has_no_line() -> None:
    assert str(Problem("--set a=1", 0, 0, "a", "wrong")) == "--set a=1  a  wrong"
