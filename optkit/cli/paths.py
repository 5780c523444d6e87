"""Click types for paths."""

from __future__ import annotations

from pathlib import Path

import click

OutputPath = click.Path(path_type=Path, file_okay=False)
InputFile = click.Path(path_type=Path, exists=True, dir_okay=False)
InputPath = click.Path(path_type=Path, exists=True)
