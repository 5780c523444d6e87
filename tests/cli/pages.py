"""The examples on the pages of the documentation.

A block fenced as `console` holds commands, each on a line that starts with `$ `; other lines show what they print and
are not compared, unless the fence says `console exact`. Those of `console served` speak to a Triton server on its usual
ports. Of the `yaml` blocks, those with `steps` are recipes and those with a `reader` are datasets.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.command import Optkit

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(?P<fence>[a-z]+(?: [a-z]+)?)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
# Times are not what tests check, and a busy machine has few seconds to spare for them.
_QUICK = {
    "optimize": ("--set", "measure.seconds=0.5", "--set", "gates.latency.min_speedup=0.01"),
    "load": ("--seconds", "0.2", "--concurrency", "1,2"),
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    fence: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(kind: str) -> list[Block]:
    """Returns the blocks of a kind on all pages, in the order in which they are read."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = [
        Block(page, page.read_text()[: match.start()].count("\n") + 1, match["fence"], match["text"])
        for page in pages
        for match in _BLOCK.finditer(page.read_text())
        if match["fence"].split()[0] == kind
    ]
    assert found
    return found


def commands(block: Block) -> list[str]:
    """Returns the commands in a block."""
    found = [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]
    assert found, str(block)
    return found


def workplace(folder: Path) -> Path:
    """Returns a folder that holds the clone's recipes and data, as the reader of a page has them."""
    for name in ("recipes", "calibration"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("out", "__pycache__"))
    return folder


def shown(optkit: Optkit, folder: Path, command: str) -> str:
    """Runs a command and returns it with what it prints."""
    program, *words = shlex.split(command, comments=True)
    assert program == "optkit"
    done = optkit(*words, *_QUICK.get(words[0], ()), cwd=folder)
    return f"$ {command}\n{done.out}"
