"""Click types for paths."""

from __future__ import annotations

from pathlib import Path

import click

OutputPath = click.Path(path_type=Path, file_okay=False)
File = click.Path(path_type=Path, dir_okay=False)
"""One that is to be written, or whose absence the command itself reports."""
InputFile = click.Path(path_type=Path, exists=True, dir_okay=False)
InputPath = click.Path(path_type=Path, exists=True)
