"""What a run that is not approved may leave."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit
    from tests.cli.project import Project

DEPLOYABLE = ("triton", "golden", "MANIFEST.json")


@dataclass(frozen=True)
class Attempt:
    """Optimizes into a folder that holds an approved repository: it must be gone afterwards.

    Attributes:
        optkit: The program.
        approved: Output folder of an approved run.
    """

    optkit: Optkit
    approved: Path

    def __call__(self, project: Project, code: int, *arguments: str) -> str:
        """Returns what stderr says."""
        out = project.folder.parent / "out"
        shutil.copytree(self.approved, out, dirs_exist_ok=True)
        assert all((out / name).exists() for name in DEPLOYABLE)
        done = self.optkit("optimize", project.recipe, "-o", out, *arguments, code=code)
        assert_nothing_deployable(out)
        assert done.out == "" or code == 3
        return done.err


def junit(out: Path) -> ET.Element:
    """Returns the JUnit report in a folder."""
    return ET.parse(out / "junit.xml").getroot()  # noqa: S314  # our own


def assert_nothing_deployable(out: Path) -> None:
    """Checks that a folder holds no package, no approval, and no report that says otherwise."""
    left = {path.name for path in out.iterdir()}
    assert not left.intersection(DEPLOYABLE)
    assert not [name for name in left if name.startswith(".partial")]
    if "junit.xml" in left:
        suite = junit(out)
        assert suite.find(".//failure") is not None or suite.find(".//error") is not None
    if "report.html" in left:
        assert "Approved: " not in (out / "report.html").read_text()
    if "report.json" in left:
        assert '"outcome": "refused"' in (out / "report.json").read_text()
