from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from optkit.core import errors

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")


@pytest.fixture
def steps() -> list[dict[str, Any]]:
    block = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    found: list[dict[str, Any]] = yaml.safe_load(block[1])["jobs"]["optimize"]["steps"]
    return found


def test_the_workflow_runs_optimize_and_keeps_the_verdict(steps: list[dict[str, Any]]) -> None:
    commands = [step.get("run", "") for step in steps]
    upload = next(step for step in steps if step.get("name") == "Keep the verdict")
    assert "optkit optimize recipe.yaml -o out" in commands
    assert upload["with"]["path"].split() == ["out/junit.xml", "out/report.json"]
    assert upload["if"] == "always()"


def test_packages_are_uploaded_only_after_approval(steps: list[dict[str, Any]]) -> None:
    upload = next(step for step in steps if step.get("name") == "Keep the approved packages")
    assert "if" not in upload
    assert steps.index(upload) > [step.get("run", "") for step in steps].index("optkit optimize recipe.yaml -o out")


def test_every_exit_code_is_on_the_page() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    classes = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OptkitError)
    ]
    assert listed == {0, errors.EXIT_INTERRUPTED} | {kind.exit_code for kind in classes}
