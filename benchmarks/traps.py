"""Seven models that PyTorch's exporter gets wrong, `verify=True` or not, and what optkit makes of them.

    python benchmarks/traps.py [NAME …]

The models are those of the tests. Either tool exports each in a process of its own, for the same range of sizes. What
comes out is then compared with PyTorch in eval mode at the smallest, the tuned and the largest sizes. Results are kept
by name in `results/traps.json`; the table in `docs/export.md` is made from all of them. Exit code 1 if optkit hands out
a wrong graph.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import RESULTS, ROOT, environment

from optkit.core import interface as interfaces
from optkit.core.errors import StepFailed
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.passes import Work
from optkit.measure.feeding import made_up_inputs
from optkit.measure.parity import compare_outputs
from optkit.passes.export import Export
from optkit.runtimes.table import RUNTIMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnxruntime
    from numpy.typing import NDArray

MODELS = ROOT / "tests" / "passes" / "user_models.py"
FILE = RESULTS / "traps.json"
PAGE = ROOT / "docs" / "export.md"
BEGIN, END = "<!-- benchmarks/traps.py writes from here -->", "<!-- to here -->"
COLUMNS = ("the model", "torch.onnx.export, verify=True", "optkit")
TOOLS = ("torch", "optkit")
TOLERANCE = 1e-4
REFUSED = 5
"""Exit code of a process whose exporter refused."""
SEED = 5
"""Of inputs that no exporter has seen."""


@dataclass(frozen=True)
class Trap:
    """A model, and how it is exported.

    Attributes:
        factory: Its class in `MODELS`.
        inputs: What it takes.
        dims: Its dynamic dimensions.
        arguments: Of the class.
        trained: Whether it comes to torch in training mode.
        aliased: Whether torch gets one tensor for all inputs.
        exports: How often one process exports it; the last graph counts.
    """

    factory: str
    inputs: tuple[Tensor, ...]
    dims: Mapping[str, Dim]
    arguments: Mapping[str, str] = field(default_factory=dict)
    trained: bool = False
    aliased: bool = False
    exports: int = 1


def _floats(name: str, *shape: int | str) -> Tensor:
    return Tensor(name, "float32", shape)


BATCH = {"batch": Dim(1, 4, 8)}
LSTM = Trap(
    "Recurrent", (_floats("x", "batch", "sequence", 4),), {**BATCH, "sequence": Dim(2, 5, 12)}, {"kind": "LSTM"}
)
TRAPS: Mapping[str, Trap] = {
    "a branch on the batch size": Trap("BranchOnSize", (_floats("x", "batch", 4),), BATCH),
    "adaptive pooling of images of any size": Trap(
        "AdaptivePool", (_floats("x", "batch", 2, "height", "width"),),
        {**BATCH, "height": Dim(6, 9, 20), "width": Dim(6, 12, 20)},
    ),
    "padding to a multiple of 8": Trap(
        "PadIfNeeded", (_floats("x", "batch", "length"),), {**BATCH, "length": Dim(2, 5, 16)}
    ),
    "an LSTM over any length": LSTM,
    "an LSTM, exported twice in one process": replace(LSTM, exports=2),
    "two inputs, exported with one tensor for both": Trap(
        "Difference", (_floats("x", "batch", 4), _floats("y", "batch", 4)), BATCH, aliased=True
    ),
    "a model left in training mode": Trap("Training", (_floats("x", "batch", 4),), BATCH, trained=True),
}  # fmt: skip


def main() -> None:
    """Runs the traps that the command line names, or all; prints, and writes results and page."""
    if sys.argv[1:2] == ["--export"]:
        tool, name, folder = sys.argv[2:]
        export_in_this_process(tool, name, Path(folder))
        return
    kept: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {"traps": {}}
    for name in sys.argv[1:] or TRAPS:
        with tempfile.TemporaryDirectory() as place:
            kept["traps"][name] = outcomes(name, Path(place))
        print(name, json.dumps(kept["traps"][name], indent=1), flush=True)
        FILE.write_text(json.dumps({**kept, "environment": environment()}, indent=1, sort_keys=True) + "\n")
    text = PAGE.read_text()
    PAGE.write_text(text[: text.index(BEGIN)] + section(kept["traps"]) + text[text.index(END) + len(END) :])
    sys.exit(caught(kept["traps"], "optkit") < len(kept["traps"]))


def outcomes(name: str, folder: Path) -> dict[str, dict[str, str]]:
    """Returns tool → what it said, and what is wrong with its graph; empty where nothing is."""
    write_source(TRAPS[name], folder / "source")
    return {tool: outcome(tool, name, folder) for tool in TOOLS}


def write_source(trap: Trap, folder: Path) -> None:
    """Writes the model as the `export` pass takes it."""
    (folder / "code").mkdir(parents=True)
    shutil.copy(MODELS, folder / "code" / "model.py")
    interface = Interface(trap.inputs, (), trap.dims)
    factory = f"model.py:{trap.factory}"
    interfaces.write(folder, interface, factory=factory, arguments=dict(trap.arguments), weights=None)


def outcome(tool: str, name: str, folder: Path) -> dict[str, str]:
    """Returns what `tool` said of the trap, and what is wrong with what it made.

    Raises:
        subprocess.CalledProcessError: It crashed.
    """
    command = [sys.executable, __file__, "--export", tool, name, str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode == REFUSED:
        return {"said": done.stderr.strip(), "wrong": ""}
    done.check_returncode()
    complaints = [line for line in done.stdout.splitlines() if "❌" in line]
    return {"said": "\n".join(complaints), "wrong": fault(folder / tool / "model.onnx", folder / "source")}


def export_in_this_process(tool: str, name: str, folder: Path) -> None:
    """Writes `folder/TOOL/model.onnx`; ends with exit code 5 where the tool refuses."""
    import torch

    trap = TRAPS[name]
    try:
        for _ in range(trap.exports):
            shutil.rmtree(folder / tool, ignore_errors=True)
            if tool == "torch":
                by_torch(trap, folder / tool)
            else:
                by_optkit(folder / tool)
    except (StepFailed, torch.onnx.OnnxExporterError) as error:
        print(error, file=sys.stderr)
        sys.exit(REFUSED)


def by_torch(trap: Trap, out: Path) -> None:
    """Exports with PyTorch's exporter: named dimensions with the bounds of `trap`, and its verification."""
    import torch

    sys.path.insert(0, str(ROOT))
    from tests.passes import user_models

    torch.manual_seed(0)  # as optkit does where a model has no weights file
    module = getattr(user_models, trap.factory)(**trap.arguments).train(trap.trained)
    interface = Interface(trap.inputs, (), trap.dims)
    arrays = made_up_inputs(interface, interface.sizes("opt"), seed=0)
    inputs = tuple(map(torch.from_numpy, arrays.values()))
    symbols = {name: torch.export.Dim(name, min=dim.min, max=dim.max) for name, dim in trap.dims.items()}
    shapes = tuple(
        {axis: symbols[size] for axis, size in enumerate(tensor.shape) if isinstance(size, str)}
        for tensor in trap.inputs
    )
    given = inputs[:1] * len(inputs) if trap.aliased else inputs
    out.mkdir()
    torch.onnx.export(module, given, out / "model.onnx", dynamo=True, dynamic_shapes=shapes, verify=True)


def by_optkit(out: Path) -> None:
    """Exports with the `export` pass."""
    work = Work(out, out.with_name("scratch"))
    for place in (out, work.scratch):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
    Export(opset=20).run({"model": out.with_name("source")}, work)


def fault(path: Path, source: Path) -> str:
    """Returns the first thing that is wrong with the graph at `path`, or nothing.

    The model at `source` is the truth, in eval mode.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    interface = interfaces.read(source)
    truth = RUNTIMES["torch"].open(source, 1)
    for which in ("opt", "min", "max"):
        sizes = interface.sizes(which)
        inputs = made_up_inputs(interface, sizes, SEED)
        found = difference(session, list(truth.run(inputs).values()), inputs)
        if found:
            return f"{', '.join(f'{name} {size}' for name, size in sizes.items())}: {found}"
    return ""


def difference(session: onnxruntime.InferenceSession, truth: list[Any], inputs: Mapping[str, NDArray[Any]]) -> str:
    """Returns in what the graph differs from PyTorch on `inputs`, in values or in what it declares, or nothing."""
    declared = [value.shape for value in session.get_outputs()]
    given = dict(zip((value.name for value in session.get_inputs()), inputs.values(), strict=True))
    try:
        results: list[Any] = session.run(None, given)
    except Exception as error:  # noqa: BLE001  # onnxruntime's exceptions share no other base
        return f"it does not run ({' '.join(str(error).split())})"
    for shape, expected, actual in zip(declared, truth, results, strict=True):
        if actual.shape != expected.shape:
            return f"it returns {list(actual.shape)} instead of {list(expected.shape)}"
        if any(isinstance(size, int) and size != real for size, real in zip(shape, actual.shape, strict=True)):
            return f"it declares {shape} and returns {list(actual.shape)}"
        (off,) = compare_outputs({"output": expected}, {"output": actual})
        if not off.relative_to_scale <= TOLERANCE:
            return f"its values are off by {off.relative_to_scale:.0%} of their scale"
    return ""


def caught(found: Mapping[str, Any], tool: str) -> int:
    """Returns with how many of the traps the tool handed out no wrong graph."""
    return sum(not row[tool]["wrong"] for row in found.values())


def section(found: Mapping[str, Any]) -> str:
    """Returns the table of the page."""
    names = [name for name in TRAPS if name in found]
    rows = [[name, *(cell(found[name][tool]) for tool in TOOLS)] for name in names]
    last = ["right or refused", *(f"**{caught(found, tool)} of {len(found)}**" for tool in TOOLS)]
    lines = [f"| {' | '.join(cells)} |" for cells in (COLUMNS, ["---"] * len(COLUMNS), *rows, last)]
    return "\n".join([BEGIN, "", *lines, "", END])


def cell(result: Mapping[str, str]) -> str:
    """Returns what became of a model with one tool; of several reasons, the first."""
    said, wrong = (" ".join(text.split()).replace("|", "\\|") for text in (_first(result["said"]), result["wrong"]))
    if not wrong:
        return f"refused: {said}" if said else "right"
    return f"writes a graph, wrong at {wrong}" + (f"; its log has: {said}" if said else "")


def _first(said: str) -> str:
    head, _, reasons = said.partition(":\n")
    return reasons.splitlines()[0] if reasons else head


if __name__ == "__main__":
    main()
