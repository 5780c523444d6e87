"""The command line. One file per command, loaded when it is called: `optkit --help` imports nothing heavy."""

from __future__ import annotations

import importlib

import click

from optkit import __version__
from optkit.cli.failures import run_safely

# Command → (module, one-line help). The help stands here so that listing the commands loads none of them.
COMMANDS = {
    "optimize": ("optimize", "Optimize, measure, gate and package a model."),
    "plan": ("plan", "Show what would run, what is cached and why not."),
    "run": ("run", "Run one pass without a recipe."),
    "bench": ("bench", "Measure latency, throughput and memory."),
    "eval": ("evaluate", "Measure accuracy on labelled data."),
    "compare": ("compare", "Compare two models, or two runs."),
    "baseline": ("baseline", "Keep a run's numbers, which later runs must not fall behind."),
    "inspect": ("inspect", "Look inside a model."),
    "package": ("package", "Emit a finished run for a serving runtime."),
    "verify": ("verify", "Start the serving runtime and replay recorded requests."),
    "load": ("load", "Drive a running server: throughput, latency, right answers."),
    "init": ("init", "Scaffold a recipe that runs as it is."),
    "schema": ("schema", "Print the JSON Schema of recipes or reports."),
    "passes": ("passes", "List passes, metrics, targets and serving runtimes."),
    "doctor": ("doctor", "Diagnose the environment."),
    "cache": ("cache", "List or clean the store."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the command names, in the order in which a user meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports and returns a command, or None if there is none of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"optkit.cli.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without loading them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command; a near miss is suggested."""
        from optkit.core.validate import did_you_mean

        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"no such command {name!r} ({did_you_mean(name, COMMANDS)})")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="optkit")
def group() -> None:
    """Turn a PyTorch or ONNX model into the fastest artifact that provably keeps its accuracy.

    \b
    Examples:
      optkit init my-model && optkit optimize my-model/recipe.yaml
      optkit plan recipe.yaml --explain quantize
      optkit run quantize model.onnx --calibration data.npz -o out

    \b
    Shell completion: eval "$(_OPTKIT_COMPLETE=bash_source optkit)"   (or zsh_source, fish_source)
    Exit codes: 0 approved, 2 recipe or usage, 3 a gate does not hold, 4 something is not installed,
    5 a step failed, 6 a server answered wrongly, 70 a bug, 130 interrupted.
    """  # noqa: D301  # click reads \b as "do not rewrap"


def main() -> None:
    """Entry point of the `optkit` script."""
    raise SystemExit(run_safely(group))
