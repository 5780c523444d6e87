"""One measured task of one tool: `python jobs.py JOB MODEL_FOLDER OUT_FOLDER` prints the seconds of the task as JSON.

Each runs in a process of its own, with the Python that its tool is installed for; imports are not timed.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

Feed = dict[str, "NDArray[Any]"]
BATCH = 8
CPU = "CPUExecutionProvider"
RANGES = ("minmax", "percentile", "mse", "kl")


def feeds(folder: Path, batch: int = BATCH) -> Iterator[Feed]:
    """Yields the images of a model's folder, or the inputs that stand in `feeds`, or else one batch of noise."""
    path = folder / "images.npz"
    for file in sorted(folder.glob("feeds/*.npz")):
        with np.load(file) as data:
            yield dict(data)
    if (folder / "feeds").exists():
        return
    if not path.exists():
        yield {"x": np.random.default_rng(0).standard_normal((1, 8, 4, 4)).astype(np.float32)}
        return
    with np.load(path) as data:
        images = data["image"]
    for start in range(0, len(images), batch):
        yield {"image": images[start : start + batch]}


class Reader:
    """The images as ONNX Runtime's calibrators ask for them."""

    def __init__(self, folder: Path) -> None:
        self._feeds = feeds(folder)

    def get_next(self) -> Feed | None:
        """Returns the next batch."""
        return next(self._feeds, None)


def optkit_calibrate(folder: Path, out: Path) -> Callable[[], Any]:
    """All four range methods, from one run."""
    from optkit.graph.load import load_model
    from optkit.quant.layout import calibrated_tensors
    from optkit.quant.observe import observe
    from optkit.quant.placement import place
    from optkit.quant.prepare import prepare
    from optkit.quant.profiles import profile_named
    from optkit.quant.ranges import find_range

    def task() -> int:
        model, profile = prepare(load_model(folder / "model.onnx")), profile_named("onnxruntime-cpu")
        names = calibrated_tensors(place(model, profile), profile)
        histograms = observe(model, list(names), feeds(folder, batch=1), out)
        found = {(name, how): find_range(each, how) for name, each in histograms.items() for how in RANGES}  # type: ignore[arg-type]  # the names of the methods
        return len(found) // len(RANGES)

    return task


def optkit_write(folder: Path, out: Path) -> Callable[[], Any]:
    """From the file to the int8 file, with ranges from a single batch: the graph work, not the calibration."""
    from optkit.graph.load import load_model
    from optkit.graph.save import save_model
    from optkit.quant.engine import Format, write_static
    from optkit.quant.layout import calibrated_tensors
    from optkit.quant.observe import observe
    from optkit.quant.placement import place
    from optkit.quant.prepare import prepare
    from optkit.quant.profiles import profile_named
    from optkit.quant.ranges import find_range

    def task() -> int:
        model, profile = prepare(load_model(folder / "model.onnx")), profile_named("onnxruntime-cpu")
        nodes = place(model, profile)
        seen = observe(model, list(calibrated_tensors(nodes, profile)), feeds(folder), out)
        ranges = {name: find_range(each, "minmax") for name, each in seen.items()}
        save_model(write_static(model, nodes, ranges, profile, Format(True, False)), out)  # noqa: FBT003  # per channel, not reduced
        return len(nodes)

    return task


def optkit_command(folder: Path, out: Path, *options: str) -> Callable[[], Any]:
    """`optkit run quantize` with an empty store: starting Python and checking the file are part of it."""
    command = [str(Path(sys.executable).with_name("optkit")), "run", "quantize", str(folder / "model.onnx")]
    places = ["-o", str(out / "int8"), "--store", str(out / "store")]

    def task() -> None:
        subprocess.run([*command, *places, *options], check=True, capture_output=True)

    return task


def optkit_static(folder: Path, out: Path) -> Callable[[], Any]:
    """Minmax ranges, as the rivals."""
    return optkit_command(folder, out, "--calibration", str(folder / "images.npz"), "--set", "ranges=minmax")


def optkit_dynamic(folder: Path, out: Path) -> Callable[[], Any]:
    """Scales of activations at run time."""
    return optkit_command(folder, out, "--set", "method=dynamic")


def ort_calibrate(folder: Path, out: Path) -> Callable[[], Any]:
    """Entropy alone."""
    from onnxruntime.quantization import CalibrationMethod, create_calibrator

    def task() -> int:
        calibrator = create_calibrator(
            folder / "model.onnx", augmented_model_path=str(out / "augmented.onnx"),
            calibrate_method=CalibrationMethod.Entropy,
        )  # fmt: skip
        calibrator.collect_data(Reader(folder))
        return len(calibrator.compute_data().data)

    return task


def ort_static(folder: Path, out: Path) -> Callable[[], Any]:
    """`quantize_static` with U8 activations, S8 weights per channel and minmax ranges: its best setting on a CPU."""
    from onnxruntime.quantization import QuantType, quantize_static

    def task() -> None:
        quantize_static(
            folder / "model.onnx", out / "model.onnx", Reader(folder), per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip

    return task


def ort_dynamic(folder: Path, out: Path) -> Callable[[], Any]:
    """`quantize_dynamic` with the flag that large models need."""
    from onnxruntime.quantization import quantize_dynamic

    def task() -> None:
        quantize_dynamic(folder / "model.onnx", out / "model.onnx", per_channel=True, use_external_data_format=True)

    return task


def onnxsim_calibrate(folder: Path, out: Path) -> Callable[[], Any]:
    """MSE alone."""
    from onnxsim.calibration import calibrate

    del out

    def task() -> int:
        return len(calibrate(str(folder / "model.onnx"), list(feeds(folder)), method="mse"))

    return task


def nncf_transformer(folder: Path, out: Path) -> Callable[[], Any]:
    """`nncf.quantize` with its settings for transformers, SmoothQuant among them."""
    import nncf  # type: ignore[import-not-found]  # in the rivals' environment only

    return nncf_static(folder, out, model_type=nncf.ModelType.TRANSFORMER)


def nncf_static(folder: Path, out: Path, **options: Any) -> Callable[[], Any]:  # noqa: ANN401  # NNCF's
    """`nncf.quantize` of an ONNX model at its defaults."""
    import nncf
    import onnx

    def task() -> None:
        data = nncf.Dataset(list(feeds(folder, batch=1)))
        onnx.save(nncf.quantize(onnx.load(folder / "model.onnx"), data, subset_size=64, **options), out / "model.onnx")

    return task


def olive_static(folder: Path, out: Path) -> Callable[[], Any]:
    """`olive run` of a workflow with the static pass at its defaults, one sample a batch."""
    samples = {
        "name": "samples",
        "user_script": str(Path(__file__).with_name("olive_samples.py")),
        "load_dataset_config": {"type": "recorded_samples", "params": {"folder": str(folder / "feeds")}},
        "dataloader_config": {"params": {"batch_size": 1}},
    }
    workflow = {
        "input_model": {"type": "ONNXModel", "model_path": str(folder / "model.onnx")},
        "systems": {"here": {"type": "LocalSystem", "accelerators": [{"device": "cpu", "execution_providers": [CPU]}]}},
        "data_configs": [samples],
        "passes": {"quantize": {"type": "OnnxStaticQuantization", "data_config": "samples"}},
        "host": "here",
        "target": "here",
        "output_dir": str(out),
        "cache_dir": str(out / "cache"),
    }
    (out / "workflow.json").write_text(json.dumps(workflow))
    command = [str(Path(sys.executable).with_name("olive")), "run", "--config", str(out / "workflow.json")]

    def task() -> None:
        quiet = {**os.environ, "OLIVE_DISABLE_TELEMETRY": "1"}
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=out, env=quiet)
        if not (out / "model.onnx").exists():  # it logs a failure, and ends with 0
            raise RuntimeError(done.stderr.strip().splitlines()[-1])

    return task


def optkit_simplify(folder: Path, out: Path) -> Callable[[], Any]:
    """The pass `simplify`, from folder to folder: comparing both graphs at several sizes is part of it."""
    from optkit.core import interface as interfaces
    from optkit.core.passes import Work
    from optkit.graph.describe import describe
    from optkit.graph.load import load_model
    from optkit.passes.simplify import Simplify

    interfaces.write(folder, describe(load_model(folder / "model.onnx")))
    work = Work(out / "out", out / "scratch")
    work.out.mkdir()
    work.scratch.mkdir()

    def task() -> list[int]:
        Simplify().run({"model": folder}, work)
        return work.notes["simplify"]["nodes"]  # type: ignore[no-any-return]  # JSON

    return task


def onnxsim_simplify(folder: Path, out: Path) -> Callable[[], Any]:
    """`onnxsim.simplify` of the file, without a check, and saved."""
    import onnx
    import onnxsim

    def task() -> int:
        model, _ = onnxsim.simplify(str(folder / "model.onnx"))
        onnx.save(model, out / "model.onnx", save_as_external_data=True, location="model.onnx.data")
        return len(model.graph.node)

    return task


def onnxslim_simplify(folder: Path, out: Path) -> Callable[[], Any]:
    """`onnxslim.slim` of the file, without a check, and saved."""
    import onnx
    import onnxslim

    def task() -> int:
        model = onnxslim.slim(str(folder / "model.onnx"))
        onnx.save(model, out / "model.onnx", save_as_external_data=True, location="model.onnx.data")
        return len(model.graph.node)

    return task


JOBS: dict[str, Callable[[Path, Path], Callable[[], Any]]] = {
    "optkit-calibrate": optkit_calibrate,
    "optkit-write": optkit_write,
    "optkit-static": optkit_static,
    "optkit-dynamic": optkit_dynamic,
    "optkit-simplify": optkit_simplify,
    "ort-calibrate": ort_calibrate,
    "ort-static": ort_static,
    "ort-dynamic": ort_dynamic,
    "onnxsim-calibrate": onnxsim_calibrate,
    "onnxsim-simplify": onnxsim_simplify,
    "onnxslim-simplify": onnxslim_simplify,
    "nncf-static": nncf_static,
    "olive-static": olive_static,
    "nncf-transformer": nncf_transformer,
}


def main() -> None:
    """Runs one job and prints what it took."""
    job, folder, out = JOBS[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3])
    task = job(folder, out)
    start = time.perf_counter()
    found = task()
    seconds = time.perf_counter() - start
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"seconds": seconds, "peak_bytes": max(own, children) * 1024, "found": found}))


if __name__ == "__main__":
    main()
