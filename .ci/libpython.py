"""Exits 0 if the bundled tritonserver's Python backend finds the shared libpython that it is linked against."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from optkit.core.errors import MissingDependency
from optkit.serving.triton_install import find

with tempfile.TemporaryDirectory() as work:
    try:
        find(Path(work))
    except MissingDependency as error:
        sys.exit(str(error))
