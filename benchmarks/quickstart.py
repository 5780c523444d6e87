"""How long a user waits: the command's start, a plan, and the quickstart with an empty store, then with a full one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from harness import OPTKIT, ROOT, median_of, report, timed

RECIPE = ROOT / "recipes" / "mnist" / "recipe.yaml"


def main() -> None:
    """Measures and writes `results/quickstart.json`."""
    with tempfile.TemporaryDirectory() as folder:
        store, out = Path(folder) / "store", Path(folder) / "out"
        optimize: list[str | Path] = [OPTKIT, "optimize", RECIPE, "--store", store, "-o", out]
        cold = timed(optimize) + timed([OPTKIT, "verify", out])
        rows = [
            ("quickstart, cold (optimize + verify)", 60.0, cold),
            ("optimize again (everything cached)", 30.0, timed(optimize)),
            ("optkit --help", 0.15, median_of(10, [OPTKIT, "--help"])),
            ("optkit plan, warm", 0.6, median_of(10, [OPTKIT, "plan", RECIPE, "--store", store])),
        ]
    report("quickstart", rows)


if __name__ == "__main__":
    main()
