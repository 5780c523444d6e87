from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from optkit import __version__
from optkit.cli import COMMANDS, group
from tests.cli.command import PROGRAM

if TYPE_CHECKING:
    from tests.cli.command import Optkit

_EXAMPLE = re.compile(r"^ +optkit \S+.*$|Example: optkit", re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_it_does_with_examples(name: str, optkit: Optkit) -> None:
    shown = optkit(name, "--help").out
    assert shown.startswith(f"Usage: optkit {name}")
    assert _EXAMPLE.search(shown)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    subcommands = command.commands.values() if isinstance(command, click.Group) else [command]
    for each in subcommands:
        assert each.help
        options = [parameter for parameter in each.params if isinstance(parameter, click.Option)]
        assert all(option.help for option in options)


def test_help_lists_every_command(optkit: Optkit) -> None:
    shown = optkit("--help").out
    for name, (_, text) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text)}$", shown, re.MULTILINE)
    assert "Exit codes:" in shown
    assert optkit("-h").out == shown


def test_version(optkit: Optkit) -> None:
    assert optkit("--version").out == f"optkit, version {__version__}\n"


MISTAKES = {
    "no such command": (["optimise"], "no such command 'optimise' (did you mean 'optimize'?)"),
    "no argument": (["optimize"], "Missing argument 'RECIPE'"),
    "no such option": (["plan", "recipe.yaml", "--explian", "x"], "--explian"),
    "no such choice": (["schema", "recipes"], "'recipes' is not one of 'recipe', 'report'"),
    "out of range": (["bench", ".", "--threads", "0"], "0 is not in the range x>=1"),
}


@pytest.mark.parametrize(("arguments", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_on_the_command_line(arguments: list[str], expected: str, optkit: Optkit) -> None:
    done = optkit(*arguments, code=2)
    assert expected in done.err
    assert done.out == ""


@pytest.mark.parametrize("lines", [0, 1, 2000])
def test_a_reader_that_goes_away_is_no_error(lines: int, optkit: Optkit) -> None:
    process = optkit.start("schema")
    assert process.stdout is not None
    assert process.stderr is not None
    read = [process.stdout.readline() for _ in range(lines)]
    assert read[:1] == ["{\n"][:lines]
    assert all(read)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 0


@pytest.mark.parametrize("command", [["schema"], ["passes"], ["--version"]])
def test_a_full_disk_behind_stdout_is_told(command: list[str], optkit: Optkit) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [str(PROGRAM), *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=optkit.environment,
        )
    assert (done.returncode, done.stderr) == (5, "error: the output could not be written: No space left on device\n")
