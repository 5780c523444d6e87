"""What the field claims and what optkit delivers: size, accuracy, speed, and what making it costs, beside rivals.

Ours are made by the commands that users have; rivals start from the same exported ONNX file, each in its own process
and with its own environment. Everything is timed and scored by the same commands, in one run, and ratios are to
PyTorch eager in that run. Needs `make recipes` and `make rivals`. Results go to `results/headline-NAME.json` and, all
that there are, to `docs/results.md`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from harness import OPTKIT, RESULTS, ROOT, write
from headline_page import page
from quantization import HERE, RIVALS

from optkit.core import interface
from optkit.core.artifact import digest_file
from optkit.data.source import dataset_source
from optkit.passes.calibration import calibration_feeds

THREADS, SECONDS = 2, 90
COMPILED = "torch-compile"
RESNET = """\
name: resnet50
model:
  factory: model.py:build
  code: [model.py]
  inputs: {image: {dtype: float32, shape: [batch, 3, 224, 224]}}
  outputs: [logits]
  dims: {batch: {min: 1, opt: 8, max: 32}}
steps: [export]
"""


@dataclass(frozen=True)
class Subject:
    """A model, what is made of it, and what is asked.

    Attributes:
        recipe: Its recipe; None for ResNet-50 with random weights.
        calibration: Dataset, split and how many samples.
        scored: Metric kind → output, dataset and split it is scored on.
        ours: Artifact → runtime and options of the `quantize` pass.
        rivals: Artifact → runtime and job.
    """

    recipe: Path | None
    calibration: tuple[str, str | None, int | None]
    scored: dict[str, tuple[str, str, str | None]]
    ours: dict[str, tuple[str, tuple[str, ...]]]
    rivals: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Cost:
    """What making something took: seconds, and bytes of the largest process."""

    seconds: float = 0.0
    peak_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, max(self.peak_bytes, other.peak_bytes))


@dataclass(frozen=True)
class Made:
    """An artifact: where it lies, what runs it, and what making it from the exported file took."""

    folder: Path
    runtime: str
    cost: Cost


DIGITS, PHOTOS, ENGLISH = (str(ROOT / "calibration" / name) for name in ("mnist", "photos", "english"))
STATIC = {"optkit int8": ("onnxruntime", ()), "optkit int8, OpenVINO": ("openvino", ("target=openvino-cpu",))}
CONVOLUTIONAL = {
    "ORT int8, static": ("onnxruntime", "ort-static"),
    "Olive int8, static": ("onnxruntime", "olive-static"),
    "NNCF int8, OpenVINO": ("openvino", "nncf-static"),
}
SUBJECTS = {
    "mnist": Subject(
        ROOT / "recipes" / "mnist" / "recipe.yaml", (DIGITS, "calibration", 256),
        {"accuracy": ("logits", DIGITS, "test"), "cosine": ("logits", DIGITS, "test")},
        STATIC, CONVOLUTIONAL,
    ),
    "efficientnet-lite0": Subject(
        ROOT / "recipes" / "efficientnet-lite0" / "recipe.yaml", (PHOTOS, "calibration", None),
        {
            "agreement": ("logits", PHOTOS, "evaluation"), "cosine": ("logits", PHOTOS, "evaluation"),
            "accuracy": ("logits", PHOTOS, "labelled"),
        },
        STATIC, CONVOLUTIONAL,
    ),
    "minilm": Subject(
        ROOT / "recipes" / "minilm" / "recipe.yaml", (ENGLISH, "calibration", None),
        {
            "accuracy": ("sentiment", ENGLISH, "sentiment"), "similarity": ("embedding", ENGLISH, "wordsim"),
            "cosine": ("embedding", ENGLISH, "lee"),
        },
        {
            "optkit int8, dynamic": ("onnxruntime", ("method=dynamic",)),
            "optkit int8, static": ("onnxruntime", ("mask=attention_mask",)),
            "optkit int8, OpenVINO": ("openvino", ("target=openvino-cpu", "mask=attention_mask")),
        },
        {
            "ORT int8, dynamic": ("onnxruntime", "ort-dynamic"),
            "Olive int8, static": ("onnxruntime", "olive-static"),
            "NNCF int8, OpenVINO": ("openvino", "nncf-transformer"),
        },
    ),
    "resnet50": Subject(
        None, ("images.npz", None, None), dict.fromkeys(("cosine", "agreement"), ("logits", "other.npz", None)),
        STATIC, CONVOLUTIONAL,
    ),
}  # fmt: skip


def main() -> None:
    """Measures the models named on the command line, or all, and writes the page."""
    for name in sys.argv[1:] or SUBJECTS:
        with tempfile.TemporaryDirectory() as folder:
            write(f"headline-{name}", measure(SUBJECTS[name], Path(folder)))
    files = {name: RESULTS / f"headline-{name}.json" for name in SUBJECTS}
    text = page({name: json.loads(file.read_text()) for name, file in files.items() if file.exists()})
    (ROOT / "docs" / "results.md").write_text(text)
    print(text)


def measure(subject: Subject, folder: Path) -> dict[str, Any]:
    """Returns size, cost, latency and scores of everything that could be made, and why something could not."""
    recipe, calibration = prepared(subject, folder)
    optkit("run", "export", recipe, "-o", folder / "exported", folder=folder)
    write_feeds(subject, folder)
    made = {"fp32, ORT": Made(folder / "exported", "onnxruntime", Cost())} | ours(subject, calibration, folder)
    failed: dict[str, str] = {}
    for name, (runtime, job) in subject.rivals.items():
        try:
            made[name] = Made(folder / job, runtime, rival(job, folder))
        except subprocess.CalledProcessError as error:
            failed[name] = (error.stderr.strip().splitlines() or ["no message"])[-1]
    return {
        "artifacts": {name: facts(each) for name, each in made.items()},
        "latency": timed(recipe, made, folder),
        "scores": scored(subject, made, folder),
        "failed": failed,
    }


def ours(subject: Subject, calibration: list[str | Path], folder: Path) -> dict[str, Made]:
    """Makes optkit's artifacts from the exported file."""
    simplified, fp32 = optkit("run", "simplify", folder / "exported", "-o", folder / "simplified", folder=folder)[1], {}
    fp32["openvino"] = folder / "simplified", simplified
    fused = optkit("run", "fuse", folder / "simplified", "-o", folder / "fused", folder=folder)[1]
    fp32["onnxruntime"] = folder / "fused", simplified + fused
    made = {"optkit fp32": Made(folder / "fused", "onnxruntime", simplified + fused)}
    for number, (name, (runtime, options)) in enumerate(subject.ours.items()):
        start, spent = fp32[runtime]
        extra = [part for option in options for part in ("--set", option)]
        out = folder / f"ours{number}"
        quantized = optkit("run", "quantize", start, *calibration, *extra, "-o", out, folder=folder)[1]
        made[name] = Made(out, runtime, spent + quantized)
    return made


def facts(made: Made) -> dict[str, Any]:
    """Returns what an artifact is and took."""
    size = sum(file.stat().st_size for file in made.folder.glob("model.onnx*"))
    return {"runtime": made.runtime, "bytes": size, "seconds": made.cost.seconds, "peak_bytes": made.cost.peak_bytes}


def prepared(subject: Subject, folder: Path) -> tuple[Path, list[str | Path]]:
    """Returns the recipe and the options that name the calibration data; writes what is made up."""
    data, split, samples = subject.calibration
    if subject.recipe is not None:
        part = [*(["--split", split] if split else []), *(["--samples", str(samples)] if samples else [])]
        return subject.recipe, ["--calibration", data, *part]
    shutil.copy(HERE / "models.py", folder / "model.py")
    (folder / "recipe.yaml").write_text(RESNET)
    random = np.random.default_rng(0)
    for file in ("images.npz", "other.npz"):
        coarse = random.standard_normal((64, 3, 28, 28)).astype(np.float32)
        np.savez(folder / file, image=coarse.repeat(8, axis=2).repeat(8, axis=3))
    return folder / "recipe.yaml", ["--calibration", folder / data]


def write_feeds(subject: Subject, folder: Path) -> None:
    """Writes the calibration data as rivals take it: the model's inputs, one file a batch."""
    name, split, samples = subject.calibration
    source = dataset_source(folder / name, split, samples, digest_file)
    data = folder / "dataset"
    for place, path in source.files.items():
        (data / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, data / place)
    for place, content in source.documents.items():
        (data / place).write_bytes(content)
    (folder / "feeds").mkdir()
    for number, (feed, _) in enumerate(calibration_feeds(data, interface.read(folder / "exported"))):
        np.savez(folder / "feeds" / f"{number:05}.npz", **feed)  # type: ignore[arg-type]  # the stub takes a name for an option


def rival(job: str, folder: Path) -> Cost:
    """Makes a rival's artifact.

    Raises:
        subprocess.CalledProcessError: It could not.
    """
    source, out = folder / f"{job}-source", folder / job
    shutil.copytree(folder / "exported", source)
    shutil.copytree(folder / "feeds", source / "feeds")
    out.mkdir()
    _, cost = ran([str(RIVALS), str(HERE / "jobs.py"), job, str(source), str(out)], out)
    shutil.copy(source / "model.json", out)  # its inputs are those of the float model
    return cost


def timed(recipe: Path, made: dict[str, Made], folder: Path) -> dict[str, Any]:
    """Returns artifact → batch → throughput over PyTorch eager's, and the interval for the largest batch."""
    models = [recipe, recipe, *(each.folder for each in made.values())]
    runtimes = ["torch", COMPILED, *(each.runtime for each in made.values())]
    named = [part for runtime in runtimes for part in ("--runtime", runtime)]
    options = ["--threads", str(THREADS), "--seconds", str(SECONDS), "--json"]
    found = list(json.loads(optkit("bench", *models, *named, *options, folder=folder)[0]).values())
    eager = found[0]["throughput"]
    return {
        name: {
            "eager": {batch: rate / eager[batch] for batch, rate in each["throughput"].items()},
            "interval": each["speedup"],
            "p50_ms": each["p50_ms"],
        }
        for name, each in zip([COMPILED, *made], found[1:], strict=True)
    }


def scored(subject: Subject, made: dict[str, Made], folder: Path) -> dict[str, Any]:
    """Returns artifact → metric → value with its interval; pairs are taken with fp32."""
    scores: dict[str, Any] = {name: {} for name in made}
    named = [part for each in made.values() for part in ("--runtime", each.runtime)]
    for kind, (output, data, split) in subject.scored.items():
        where = ["--data", data if Path(data).is_absolute() else folder / data, *(["--split", split] if split else [])]
        paths = [each.folder for each in made.values()]
        printed, _ = optkit(
            "eval", *paths, *named, *where, "--metric", kind, "--output", output, "--json", folder=folder
        )
        for name, each in zip(made, json.loads(printed).values(), strict=True):
            scores[name][kind] = {"value": each["candidate"]["value"], "drop": each["drop"]["value"]}
    return scores


def optkit(*arguments: str | Path, folder: Path) -> tuple[str, Cost]:
    """Returns what a command printed, and what it took.

    Raises:
        SystemExit: It failed.
    """
    try:
        return ran([str(OPTKIT), *map(str, arguments), "--store", str(folder / "store")], folder)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{' '.join(error.cmd)}\n{error.stderr}") from None


def ran(command: list[str], folder: Path) -> tuple[str, Cost]:
    """Returns what a command printed, and what it took, starting Python included.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    start = time.perf_counter()
    with (folder / "stdout").open("w+") as out, (folder / "stderr").open("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        printed, said = ((file.seek(0), file.read())[1] for file in (out, err))
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, printed, said)
    return printed, Cost(seconds, usage.ru_maxrss * 1024)


if __name__ == "__main__":
    main()
