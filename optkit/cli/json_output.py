"""JSON for programs."""

from __future__ import annotations

import json
import sys


def print_json(value: object) -> None:
    """Prints a value as indented JSON."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")
