"""JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from typing import Any


def print_json(value: object) -> None:
    """Prints a value as indented JSON."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def finite(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Returns the value with None for each number that JSON does not have: infinite (as of equal tensors) or NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, list | tuple) else value
