from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from optkit.cli import group
from optkit.core import errors

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "ci.md").read_text(encoding="utf-8")
WORKFLOW = (DOCS / "examples" / "github-actions.yml").read_text(encoding="utf-8")
OPTIMIZE = 'optkit optimize "$RECIPE" -o out --store .store'


@pytest.fixture
def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(WORKFLOW)["jobs"]["optimize"]["steps"]
    return found


def named(steps: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(step for step in steps if step.get("name") == name)


def test_the_page_shows_the_workflow_as_it_is() -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    assert block[1] == WORKFLOW


def test_the_workflow_names_files_that_are_there() -> None:
    recipe = yaml.safe_load(WORKFLOW)["env"]["RECIPE"]
    for path in (recipe, ".optkit/constraints.txt"):
        assert path in WORKFLOW
        assert (DOCS.parent / path.removeprefix(".optkit/")).is_file()


def test_every_command_and_option_of_the_workflow_exists(steps: list[dict[str, Any]]) -> None:
    commands = [shlex.split(step["run"]) for step in steps if step.get("run", "").startswith("optkit ")]
    assert [words[1] for words in commands] == ["optimize"]
    for _, name, *words in commands:
        context = click.Context(group)
        command = group.get_command(context, name)
        assert command is not None
        command.make_parser(context).parse_args(words)  # an unknown option raises


def test_the_workflow_runs_optimize_and_keeps_the_verdict(steps: list[dict[str, Any]]) -> None:
    upload = named(steps, "Keep the verdict")
    assert OPTIMIZE in [step.get("run", "") for step in steps]
    assert upload["with"]["path"].split() == ["out/report.html", "out/report.json", "out/junit.xml"]
    assert upload["if"] == "always()"
    comment = named(steps, "Comment on the pull request")
    assert "--body-file out/summary.md" in comment["run"]
    assert comment["if"].startswith("always()")


def test_nothing_that_a_pull_request_names_enters_a_shell(steps: list[dict[str, Any]]) -> None:
    assert not [step["run"] for step in steps if "${{" in step.get("run", "")]


def test_packages_are_uploaded_only_after_approval(steps: list[dict[str, Any]]) -> None:
    upload = named(steps, "Keep the approved packages")
    assert "if" not in upload
    assert steps.index(upload) > [step.get("run", "") for step in steps].index(OPTIMIZE)


def test_every_exit_code_is_on_the_page() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    classes = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OptkitError)
    ]
    assert listed == {0, errors.EXIT_INTERRUPTED} | {kind.exit_code for kind in classes}
