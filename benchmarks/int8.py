"""How fast int8 artifacts are and how near to fp32, beside those of rivals, in ONNX Runtime and OpenVINO.

Ours are made, timed and scored by the commands that users have; rivals' files are timed and scored by the same ones.
Ratios are to PyTorch eager in the same run, each session in a process of its own. Needs `make recipes`
and `make rivals`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from harness import OPTKIT, ROOT, write
from quantization import HERE, RIVALS

from optkit.core import interface
from optkit.core.artifact import digest_file
from optkit.data.source import dataset_source
from optkit.passes.calibration import calibration_feeds

THREADS, SECONDS = 2, 60
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
        calibration: Dataset and split.
        scored: Metric kind → output, dataset and split it is scored on.
        ours: Artifact → runtime and options of the `quantize` pass.
        rivals: Artifact → runtime and job.
    """

    recipe: Path | None
    calibration: tuple[str, str | None]
    scored: dict[str, tuple[str, str, str | None]]
    ours: dict[str, tuple[str, tuple[str, ...]]]
    rivals: dict[str, tuple[str, str]]


PHOTOS, ENGLISH = str(ROOT / "calibration" / "photos"), str(ROOT / "calibration" / "english")
STATIC = {"optkit": ("onnxruntime", ()), "optkit, OpenVINO": ("openvino", ("target=openvino-cpu",))}
CONVOLUTIONAL = {
    "ORT U8S8 per channel": ("onnxruntime", "ort-static"),
    "NNCF, OpenVINO": ("openvino", "nncf-static"),
    "NNCF, ORT": ("onnxruntime", "nncf-static"),
}
SUBJECTS = {
    "resnet50": Subject(
        None, ("images.npz", None), dict.fromkeys(("cosine", "agreement"), ("logits", "other.npz", None)),
        STATIC, CONVOLUTIONAL,
    ),
    "efficientnet-lite0": Subject(
        ROOT / "recipes" / "efficientnet-lite0" / "recipe.yaml", (PHOTOS, "calibration"),
        {
            "agreement": ("logits", PHOTOS, "evaluation"), "cosine": ("logits", PHOTOS, "evaluation"),
            "accuracy": ("logits", PHOTOS, "labelled"),
        },
        STATIC, CONVOLUTIONAL,
    ),
    "minilm": Subject(
        ROOT / "recipes" / "minilm" / "recipe.yaml", (ENGLISH, "calibration"),
        {"similarity": ("embedding", ENGLISH, "wordsim"), "cosine": ("embedding", ENGLISH, "lee")},
        {
            "optkit, dynamic": ("onnxruntime", ("method=dynamic",)),
            "optkit, static": ("onnxruntime", ("mask=attention_mask",)),
            "optkit, OpenVINO": ("openvino", ("target=openvino-cpu", "mask=attention_mask")),
        },
        {
            "ORT dynamic per channel": ("onnxruntime", "ort-dynamic"),
            "NNCF, OpenVINO": ("openvino", "nncf-transformer"),
            "NNCF, ORT": ("onnxruntime", "nncf-transformer"),
        },
    ),
}  # fmt: skip


def main() -> None:
    """Measures the models named on the command line, or all; writes `results/int8-NAME.json` for each."""
    for name in sys.argv[1:] or SUBJECTS:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(SUBJECTS[name], Path(folder))
        write(f"int8-{name}", figures)
        show(name, figures)


def measure(subject: Subject, folder: Path) -> dict[str, Any]:
    """Returns latency and scores of everything that could be made, and why something could not."""
    recipe, calibration = prepared(subject, folder)
    optkit("run", "export", recipe, "-o", folder / "exported", folder=folder)
    optkit("run", "simplify", folder / "exported", "-o", folder / "fp32", folder=folder)
    optkit("run", "fuse", folder / "fp32", "-o", folder / "fused", folder=folder)
    write_feeds(subject, folder)
    made: dict[str, tuple[Path, str]] = {"fp32, ORT": (folder / "fp32", "onnxruntime")}
    failed: dict[str, str] = {}
    for number, (name, (runtime, options)) in enumerate(subject.ours.items()):
        out = folder / f"ours{number}"
        start = folder / ("fused" if runtime == "onnxruntime" else "fp32")
        extra = [part for option in options for part in ("--set", option)]
        optkit("run", "quantize", start, *calibration, *extra, "-o", out, folder=folder)
        made[name] = out, runtime
    for name, (runtime, job) in subject.rivals.items():
        out = folder / job
        said = "" if out.exists() else rival(job, folder / "fp32", out)
        if said:
            failed[name] = said
        else:
            made[name] = out, runtime
    return {"latency": timed(recipe, made, folder), "scores": scored(subject, made, folder), "failed": failed}


def prepared(subject: Subject, folder: Path) -> tuple[Path, list[str | Path]]:
    """Returns the recipe and the options that name the calibration data; writes what is made up."""
    data, split = subject.calibration
    if subject.recipe is not None:
        return subject.recipe, ["--calibration", data, *(["--split", split] if split else [])]
    shutil.copy(HERE / "models.py", folder / "model.py")
    (folder / "recipe.yaml").write_text(RESNET)
    random = np.random.default_rng(0)
    for file in ("images.npz", "other.npz"):
        coarse = random.standard_normal((64, 3, 28, 28)).astype(np.float32)
        np.savez(folder / file, image=coarse.repeat(8, axis=2).repeat(8, axis=3))
    return folder / "recipe.yaml", ["--calibration", folder / data]


def write_feeds(subject: Subject, folder: Path) -> None:
    """Writes the calibration data as rivals take it: the model's inputs, one file a batch."""
    name, split = subject.calibration
    source = dataset_source(folder / name, split, None, digest_file)
    data = folder / "dataset"
    for place, path in source.files.items():
        (data / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, data / place)
    for place, content in source.documents.items():
        (data / place).write_bytes(content)
    (folder / "feeds").mkdir()
    for number, (feed, _) in enumerate(calibration_feeds(data, interface.read(folder / "fp32"))):
        np.savez(folder / "feeds" / f"{number:05}.npz", **feed)  # type: ignore[arg-type]  # the stub takes a name for an option


def rival(job: str, fp32: Path, out: Path) -> str:
    """Makes a rival's artifact; returns why it could not."""
    source = out.with_name(f"{job}-source")
    shutil.copytree(fp32, source)
    shutil.copytree(out.with_name("feeds"), source / "feeds")
    out.mkdir()
    done = subprocess.run(
        [str(RIVALS), str(HERE / "jobs.py"), job, str(source), str(out)],
        check=False, capture_output=True, text=True, cwd=out,
    )  # fmt: skip
    shutil.copy(fp32 / "model.json", out)  # its inputs are those of the float model
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]


def timed(recipe: Path, made: dict[str, tuple[Path, str]], folder: Path) -> dict[str, Any]:
    """Returns artifact → batch → throughput over PyTorch eager's, and the interval for the largest batch."""
    models = [recipe, *(path for path, _ in made.values())]
    runtimes = ["torch", *(runtime for _, runtime in made.values())]
    named = [part for runtime in runtimes for part in ("--runtime", runtime)]
    options = ["--threads", str(THREADS), "--seconds", str(SECONDS), "--json"]
    found = list(json.loads(optkit("bench", *models, *named, *options, folder=folder)).values())
    eager = found[0]["throughput"]
    return {
        name: {
            "eager": {batch: rate / eager[batch] for batch, rate in each["throughput"].items()},
            "interval": each["speedup"],
            "p50_ms": each["p50_ms"],
        }
        for name, each in zip(made, found[1:], strict=True)
    }


def scored(subject: Subject, made: dict[str, tuple[Path, str]], folder: Path) -> dict[str, Any]:
    """Returns artifact → metric → value with its interval; pairs are taken with fp32."""
    scores: dict[str, Any] = {name: {} for name in made}
    named = [part for _, runtime in made.values() for part in ("--runtime", runtime)]
    for kind, (output, data, split) in subject.scored.items():
        where = ["--data", data if Path(data).is_absolute() else folder / data, *(["--split", split] if split else [])]
        paths = [path for path, _ in made.values()]
        printed = optkit("eval", *paths, *named, *where, "--metric", kind, "--output", output, "--json", folder=folder)
        for name, each in zip(made, json.loads(printed).values(), strict=True):
            scores[name][kind] = each["candidate"]
    return scores


def show(name: str, figures: dict[str, Any]) -> None:
    """Prints a table."""
    print(name)
    for artifact, each in figures["latency"].items():
        ratios = " / ".join(f"{ratio:.2f}" for ratio in each["eager"].values())
        kinds = {kind: value["value"] for kind, value in figures["scores"][artifact].items()}
        print(f"  {artifact:26} {ratios:16} {'  '.join(f'{kind} {value:.4f}' for kind, value in kinds.items())}")
    for artifact, why in figures["failed"].items():
        print(f"  {artifact:26} failed: {why[:150]}")


def optkit(*arguments: str | Path, folder: Path) -> str:
    """Returns what a command printed.

    Raises:
        SystemExit: It failed.
    """
    command = [str(OPTKIT), *map(str, arguments), "--store", str(folder / "store")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
