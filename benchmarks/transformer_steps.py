"""What each change to a transformer's int8 graph gains on a CPU, on `recipes/minilm`: run `make recipes` first.

    python benchmarks/transformer_steps.py

Every session has a process of its own, all are timed in turns, and ratios are to PyTorch eager. The accuracy is that of
the embedding: its cosine to the float model's on film reviews, and Spearman's correlation on WordSim-353.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import OPTKIT, ROOT, write

RECIPE = ROOT / "recipes" / "minilm" / "recipe.yaml"
DATA = ROOT / "calibration" / "english"
ORT, OPENVINO = "onnxruntime", "openvino"
SECONDS = 240


@dataclass(frozen=True)
class Row:
    """A graph that is timed.

    Attributes:
        title: What is special about it.
        runtime: What runs it.
        source: The step that it is made of: simplify or fuse.
        options: Of `quantize`; None leaves it float.
        rival: The function below that makes it instead.
    """

    title: str
    runtime: str
    source: str
    options: tuple[str, ...] | None = None
    rival: str = ""


MASK = "mask=attention_mask"
ROWS = (
    Row("float, as exported", ORT, "simplify"),
    Row("float, fused; sums and normalisations apart", ORT, "fuse"),
    Row("rival: quantize_dynamic, per channel", ORT, "simplify", rival="dynamic"),
    Row("rival: quantize_static of all operators", ORT, "simplify", rival="static"),
    Row("dynamic, not fused", ORT, "simplify", ("method=dynamic",)),
    Row("dynamic", ORT, "fuse", ("method=dynamic",)),
    Row("dynamic, Q K V merged", ORT, "fuse", ("method=dynamic", "merge=true")),
    Row("static products, not smoothed", ORT, "fuse", (MASK, "smooth=false")),
    Row("static products", ORT, "fuse", (MASK,)),
    Row("static products, Q K V merged", ORT, "fuse", (MASK, "merge=true")),
    Row("float", OPENVINO, "simplify"),
    Row("static products, not smoothed", OPENVINO, "simplify", (MASK, "smooth=false")),
    Row("static products", OPENVINO, "simplify", (MASK,)),
    Row("static products, Q K V merged", OPENVINO, "simplify", (MASK, "merge=true")),
)


def main() -> None:
    """Makes the graphs, measures them and writes `results/transformers.json`."""
    with tempfile.TemporaryDirectory() as folder:
        places = make(Path(folder))
        timings, accuracy = latency(places), quality(places)
    figures = [speed | found for speed, found in zip(timings, accuracy, strict=True)]
    for row, found in zip(ROWS, figures, strict=True):
        print(
            f"{row.runtime:12} {row.title:44} x{found['batch 1']:.2f} x{found['batch 8']:.2f}   "
            f"cosine {found['cosine']:.4f}   WordSim {100 * found['wordsim']:.2f}"
        )
    rows = [{"title": row.title, "runtime": row.runtime, **found} for row, found in zip(ROWS, figures, strict=True)]
    write("transformers", {"ratios to PyTorch eager": rows, "sequence": 128, "threads": 2})


def make(folder: Path) -> list[Path]:
    """Returns the model of each row."""
    optkit("run", "export", RECIPE, "-o", folder / "export")
    optkit("run", "simplify", folder / "export", "-o", folder / "simplify")
    optkit("run", "fuse", folder / "simplify", "-o", folder / "fuse")
    return [made(row, folder / row.source, folder / str(index)) for index, row in enumerate(ROWS)]


def made(row: Row, source: Path, out: Path) -> Path:
    """Returns the artifact of a row: `source` itself, or what is made of it in `out`."""
    print(f"making {row.runtime}: {row.title}", file=sys.stderr)
    if row.rival:
        out.mkdir()
        (out / "model.json").write_bytes((source / "model.json").read_bytes())
        {"dynamic": rival_dynamic, "static": rival_static}[row.rival](source / "model.onnx", out / "model.onnx")
        return out
    if row.options is None:
        return source
    target = {ORT: "onnxruntime-cpu", OPENVINO: "openvino-cpu"}[row.runtime]
    data = ("--calibration", DATA, "--split", "calibration") if "method=dynamic" not in row.options else ()
    options = [part for option in (f"target={target}", *row.options) for part in ("--set", option)]
    optkit("run", "quantize", source, "-o", out, *data, *options)
    return out


def rival_dynamic(model: Path, out: Path) -> None:
    """ONNX Runtime's own, at its best setting."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(bare(model, out), out, per_channel=True, weight_type=QuantType.QInt8)


def rival_static(model: Path, out: Path) -> None:
    """ONNX Runtime's own, at its default placement: every operator that it knows."""
    from onnxruntime.quantization import QuantType, quantize_static

    from optkit.data.source import load_dataset

    class Reader:
        """The calibration data, as its calibrators ask for it."""

        def __init__(self) -> None:
            self.batches = load_dataset(DATA, "calibration").batches(1)

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.batches, None)
            return None if batch is None else dict(batch.inputs)

    quantize_static(
        bare(model, out), out, Reader(), per_channel=True, activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8, reduce_range=True,
    )  # fmt: skip


def bare(model: Path, out: Path) -> Path:
    """Returns a copy without shapes inside: its shape inference stumbles over those of other tools."""
    import onnx

    proto = onnx.load(model)
    del proto.graph.value_info[:]
    path = out.with_name("bare.onnx")
    onnx.save(proto, path)
    return path


def latency(places: list[Path]) -> list[dict[str, float]]:
    """Returns for each row how much faster than PyTorch eager it is, by batch."""
    models = [RECIPE, *places]
    runtimes = ["torch", *(row.runtime for row in ROWS)]
    named = [part for runtime in runtimes for part in ("--runtime", runtime)]
    shown = optkit("bench", *models, *named, "--seconds", SECONDS, "--precision", 0.01, "--json")
    timings = list(json.loads(shown).values())
    eager = timings[0]["throughput"]
    return [{f"batch {size}": timing["throughput"][size] / eager[size] for size in eager} for timing in timings[1:]]


def quality(places: list[Path]) -> list[dict[str, float]]:
    """Returns for each row how close it is to the first, and how well it knows what people think."""
    found: list[dict[str, float]] = []
    for row, place in zip(ROWS, places, strict=True):
        runtimes = ("--runtime", ORT, "--runtime", row.runtime)
        both = (places[0], place, *runtimes, "--data", DATA, "--output", "embedding", "--json")
        cosine = optkit("eval", *both, "--split", "sentiment", "--metric", "cosine", "--samples", 256)
        wordsim = optkit("eval", *both, "--split", "wordsim", "--metric", "similarity")
        found.append({"cosine": last(cosine), "wordsim": last(wordsim)})
    return found


def last(shown: str) -> float:
    """Returns the value of the second model."""
    return float(list(json.loads(shown).values())[-1]["candidate"]["value"])


def optkit(*arguments: object) -> str:
    """Returns what a command prints.

    Raises:
        subprocess.CalledProcessError: It failed; its words are on stderr.
    """
    command = [str(OPTKIT), *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


if __name__ == "__main__":
    main()
