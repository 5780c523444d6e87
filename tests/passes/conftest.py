from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from optkit.core import interface as interfaces
from optkit.core.artifact import digest_file
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.passes import Work
from optkit.data.source import dataset_source
from tests.passes.exports import export

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

MODELS = Path(__file__).parent / "user_models.py"
BATCH = Dim(1, 4, 8)
SEQUENCE = Dim(1, 7, 20)


@dataclass(frozen=True)
class Example:
    factory: str
    inputs: tuple[Tensor, ...]
    dims: Mapping[str, Dim]
    outputs: tuple[str, ...]


def tokens(name: str) -> Tensor:
    return Tensor(name, "int64", ("batch", "seq"), (0, 49) if name == "ids" else (1, 1))


EXAMPLES = {
    "cnn": Example("Cnn", (Tensor("image", "float32", ("batch", 1, 16, 16)),), {"batch": BATCH}, ("logits",)),
    "encoder": Example(
        "Encoder", (tokens("ids"), tokens("mask")), {"batch": BATCH, "seq": SEQUENCE}, ("logits", "hidden")
    ),
    "masked": Example("Masked", (tokens("ids"), tokens("mask")), {"batch": BATCH, "seq": SEQUENCE}, ("hidden",)),
    "recurrent": Example(
        "Recurrent", (Tensor("x", "float32", ("batch", "seq", 4)),), {"batch": BATCH, "seq": SEQUENCE},
        ("logits", "states"),
    ),
    "upsampler": Example("Upsampler", (Tensor("x", "float32", ("batch", 3, 8, 8)),), {"batch": BATCH}, ("image",)),
}  # fmt: skip


def torch_source(folder: Path, example: Example, **arguments: object) -> Path:
    (folder / "code").mkdir(parents=True)
    shutil.copy(MODELS, folder / "code" / "model.py")
    outputs = tuple(Tensor(name, "float32", ("batch", "...")) for name in example.outputs)
    interface = Interface(example.inputs, outputs, example.dims)
    interfaces.write(folder, interface, factory=f"model.py:{example.factory}", arguments=arguments, weights=None)
    return folder


def new_work(folder: Path) -> Work:
    (folder / "out").mkdir(parents=True)
    (folder / "scratch").mkdir()
    return Work(folder / "out", folder / "scratch")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return new_work(tmp_path / "work")


@pytest.fixture
def works(tmp_path: Path) -> Callable[[], Work]:
    numbers = iter(range(100))
    return lambda: new_work(tmp_path / f"work{next(numbers)}")


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Path]:
    """Returns (factory, shape or inputs, dims) → a torch artifact with one float input `x` unless inputs are given."""

    def make(
        factory: str, *inputs: Tensor, outputs: tuple[str, ...] = ("y",), name: str = "source", **dims: Dim
    ) -> Path:
        given = inputs or (Tensor("x", "float32", ("batch", 4)),)
        return torch_source(tmp_path / name, Example(factory, given, dims or {"batch": BATCH}, outputs))

    return make


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[[Mapping[str, NDArray[Any]]], Path]:
    """Returns arrays by input name → a dataset artifact."""

    def make(arrays: Mapping[str, NDArray[Any]]) -> Path:
        file, folder = tmp_path / "data.npz", tmp_path / "data"
        np.savez(file, **arrays)  # type: ignore[arg-type]  # the stub takes a keyword of its own for one
        made = dataset_source(file, None, None, digest_file)
        for name, path in made.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / name)
        for name, content in made.documents.items():
            (folder / name).write_bytes(content)
        return folder

    return make


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns a name in `EXAMPLES` → the exported ONNX artifact; each is exported once."""
    root = tmp_path_factory.mktemp("exported")

    def get(name: str) -> Path:
        out = root / name / "out"
        if not (out / "model.onnx").exists():
            export(torch_source(root / f"{name}-source", EXAMPLES[name]), new_work(root / name))
        return out

    return get


def samples(example: str, count: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)
    arrays: dict[str, NDArray[Any]] = {}
    for tensor in EXAMPLES[example].inputs:
        shape = (count, *(9 if isinstance(size, str) else size for size in tensor.shape[1:]))
        if tensor.range is not None:
            arrays[tensor.name] = random.integers(int(tensor.range[0]), int(tensor.range[1]) + 1, shape)
        else:
            arrays[tensor.name] = random.standard_normal(shape).astype(np.float32)
    return arrays


@pytest.fixture(name="samples")
def _samples() -> Callable[..., dict[str, NDArray[Any]]]:
    return samples
