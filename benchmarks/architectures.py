"""Which architectures go through export, simplify and fuse, and how exactly.

    python benchmarks/architectures.py [NAME …]

Every model is written by a process of its own, and every pass runs in one, as in any run of optkit. Results are kept by
name in `results/architectures.json`; the table `docs/architectures.md` is made from all of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from architecture_models import ARCHITECTURES
from harness import RESULTS, ROOT, environment

from optkit.core.errors import OptkitError
from optkit.core.keys import Environment
from optkit.core.parse import parse_recipe
from optkit.core.runner import Execution
from optkit.core.store import Store
from optkit.workflow.host import this_host
from optkit.workflow.sources import recipe_sources
from optkit.workflow.tables import load_tables

HERE = Path(__file__).parent
FILE = RESULTS / "architectures.json"
PAGE = ROOT / "docs" / "architectures.md"
GIGABYTE = 1e9
SMALLEST_SCALE = 0.01
"""Of an output: below it, any graph would look right."""
HEAD = """\
# Architectures

Made by `python benchmarks/architectures.py` from transformers' configurations, and from `benchmarks/networks.py`, with
random weights that keep the scale of what passes through them, so that no output is close to 0. Every graph is compared
with the one before it, and the first one with PyTorch, at several sizes of its dynamic dimensions, the smallest and the
largest among them: *worst error* is the largest difference, relative to the output's scale, of any step at any size.
*Nodes* are those of export → simplify → fuse. *Peak* is the resident memory of a step's process, mapped weights
included: that of the export, and the highest of the others.

"""
COLUMNS = (
    "architecture", "weights", "exported by", "sizes", "worst error", "nodes", "export", "simplify + fuse",
    "export peak", "later peak",
)  # fmt: skip


def main() -> None:
    """Runs the architectures that the command line names, or all; writes results and page."""
    kept: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {"architectures": {}}
    for name in sys.argv[1:] or ARCHITECTURES:
        print(name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            found = run(name, Path(folder))
        print(f"  {json.dumps(found)}", flush=True)
        kept["architectures"][name] = {**found, "environment": environment()}
        FILE.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        PAGE.write_text(page(kept["architectures"]))


def run(name: str, folder: Path) -> dict[str, Any]:
    """Returns what the steps recorded, or in one sentence why one failed."""
    subprocess.run([sys.executable, HERE / "architecture_models.py", name, folder], check=True, capture_output=True)
    weights = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    found: dict[str, Any] = {"weight_bytes": weights, "steps": {}}
    try:
        recipe = parse_recipe(folder / "recipe.yaml", load_tables(), this_host())
        store = Store(folder / "store")
        execution = Execution(
            recipe_sources(recipe, store.digests.file), store, Environment.here(this_host()), folder / "repro"
        )
        for step in recipe.steps:
            for _ in execution.execute(step):
                pass
            found["steps"][step.name] = execution.finished[step.name].record
    except OptkitError as error:
        return {**found, "refused": error.message}
    check_scale(found["steps"]["export"]["notes"]["parity"]["worst"])
    return found


def check_scale(worst: dict[str, Any]) -> None:
    """Refuses a comparison of outputs that are next to nothing."""
    relative = worst["relative_to_scale"]
    if relative and worst["max_abs"] / relative < SMALLEST_SCALE:
        raise AssertionError(f"the outputs degenerate: {worst}")


def page(found: dict[str, Any]) -> str:
    """Returns the page, with one row for each architecture that has run."""
    rows = [row(name, found[name]) for name in ARCHITECTURES if name in found]
    lines = [f"| {' | '.join(cells)} |" for cells in (COLUMNS, ["---"] * len(COLUMNS), *rows)]
    first = next(iter(found.values()))["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    where = (
        f"Measured on 2 cores of an {first['cpu']}, with {versions}. Other work shared the machine, more of it in some "
        "rows than in others: take seconds for upper bounds, and do not compare them with each other.\n"
    )
    return HEAD + "\n".join(lines) + "\n\n" + where


def row(name: str, found: dict[str, Any]) -> list[str]:
    """Returns the cells of one architecture."""
    size = f"{found['weight_bytes'] / GIGABYTE:.2f} GB"
    if "refused" in found:
        reason = " ".join(found["refused"].split())
        return [name, size, f"refused: {reason}", *[""] * (len(COLUMNS) - 3)]
    steps = found["steps"]
    export = steps["export"]["notes"]
    later = [steps["simplify"], steps["fuse"]]
    return [
        name, size, export["export"]["strategy"], str(len(export["parity"]["cases"])),
        f"{worst_error(steps):.1e}", nodes(steps), f"{steps['export']['seconds']:.0f} s",
        f"{sum(step['seconds'] for step in later):.0f} s", f"{steps['export']['peak_rss_bytes'] / GIGABYTE:.1f} GB",
        f"{max(step['peak_rss_bytes'] for step in later) / GIGABYTE:.1f} GB",
    ]  # fmt: skip


def worst_error(steps: dict[str, Any]) -> float:
    """Returns the largest relative error of any step that was compared."""
    return max(note["worst"]["relative_to_scale"] or 0.0 for note in comparisons(steps))


def comparisons(steps: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the records of the comparisons, of the steps that changed something."""
    notes = [steps[name]["notes"] for name in ("export", "simplify", "fuse")]
    inner = [note.get(name, {}) for name, note in zip(("", "simplify", "fuse"), notes, strict=True)]
    return [found["parity"] for found in (notes[0], *inner[1:]) if found.get("parity")]


def nodes(steps: dict[str, Any]) -> str:
    """Returns how many nodes there were after each step."""
    simplify, fuse = (steps[name]["notes"][name] for name in ("simplify", "fuse"))
    first = simplify.get("nodes", ["?"])[0]
    counts = [
        first,
        *(each["nodes"][1] if each["applied"] or not each["left_out"] else "rolled back" for each in (simplify, fuse)),
    ]
    return " → ".join(map(str, counts))


if __name__ == "__main__":
    main()
