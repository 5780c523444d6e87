"""Runs one sample pass against a store: `python -m tests.core.walk STORE PASS OPTIONS_JSON`, events on stdout.

A process of its own, for tests that race, kill or limit it.
"""

# ruff: noqa: T201  # lines on stdout are its output
from __future__ import annotations

import json
import sys
from pathlib import Path

from optkit.core.errors import OptkitError
from optkit.core.keys import Environment
from optkit.core.passes import Host
from optkit.core.recipe import Step
from optkit.core.runner import Execution
from optkit.core.sources import Source
from optkit.core.store import Store
from tests.core import sample_passes


def main(root: Path, pass_name: str, options: str) -> int:
    """Returns the exit code that the command line would end with."""
    step = Step("step", getattr(sample_passes, pass_name)(**json.loads(options)), {"model": "model"})
    source = Source("text", documents={"text.txt": b"hello"})
    try:
        environment = Environment(Host(frozenset(), "machine"), "code")
        execution = Execution({"model": source}, Store(root), environment, root.parent / "repro")
        for event in execution.execute(step):
            print(json.dumps(event.to_json()), flush=True)  # its output
    except OptkitError as error:
        print(json.dumps({"error": str(error)}), flush=True)  # its output
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
