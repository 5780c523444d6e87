"""The one place where errors become words and exit codes."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optkit.core.errors import EXIT_BUG, EXIT_INTERRUPTED, OptkitError, StepFailed
from optkit.report.files import DISK_ERRORS

if TYPE_CHECKING:
    from optkit.cli import LazyGroup


def run_safely(group: LazyGroup) -> int:  # noqa: PLR0911  # one exit per kind of error
    """Runs the command line and returns its exit code; only a bug prints where its log is."""
    try:
        group.main(prog_name="optkit", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OptkitError as error:
        show_error(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; what is finished is kept, run again to go on", err=True)
        return EXIT_INTERRUPTED
    except (BrokenPipeError, SystemExit):  # click makes the latter of the former
        _discard_output()  # the reader went away (`| head`)
        return 0
    except OSError as error:
        if error.errno not in DISK_ERRORS or error.filename is not None:
            return _bug()
        _discard_output()
        show_error(StepFailed(f"the output could not be written: {error.strerror}"))
        return StepFailed.exit_code
    except Exception:  # noqa: BLE001  # the last resort: whatever it is, the user gets a log and an exit code
        return _bug()
    return 0


def _discard_output() -> None:
    """Points stdout elsewhere, or Python complains at its exit about what it could not write."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_error(error: OptkitError) -> None:
    """Prints an error for a person, its hint below."""
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(error.message, err=True)
    if error.hint:
        click.echo("\n".join(f"  {line}" for line in error.hint.splitlines()), err=True)


def _bug() -> int:
    descriptor, name = tempfile.mkstemp(prefix="optkit-bug-", suffix=".log")
    os.close(descriptor)
    Path(name).write_text(f"{' '.join(sys.argv)}\n\n{traceback.format_exc()}")
    click.echo(f"this is a bug in optkit; the details are in {name}", err=True)
    return EXIT_BUG
