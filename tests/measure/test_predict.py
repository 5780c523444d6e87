from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.core import artifact, interface
from optkit.core.errors import UsageError
from optkit.core.interface import Dim
from optkit.core.passes import Work
from optkit.core.schema import json_schema
from optkit.data.source import dataset_source, load_dataset
from optkit.measure.predict import predict
from optkit.measure.predictions import read_predictions
from optkit.passes.predict import Predict
from optkit.runtimes.table import RUNTIMES

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.data.dataset import Dataset
    from tests.measure.conftest import MakeMlp


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(11, 8)).astype(np.float32)


@pytest.fixture
def dataset(tmp_path: Path, samples: np.ndarray) -> Dataset:
    np.savez(tmp_path / "data.npz", x=samples, labels=np.arange(11) % 4)
    return load_dataset(tmp_path / "data.npz")


@pytest.mark.parametrize("batch", [Dim(1, 4, 8), Dim(4, 4, 4), Dim(1, 1, 1)])
def test_every_sample_is_predicted_whatever_the_batches(
    tmp_path: Path, mlp: MakeMlp, dataset: Dataset, samples: np.ndarray, batch: Dim
) -> None:
    folder, out = mlp("m", batch=batch), tmp_path / "out"
    out.mkdir()
    session = RUNTIMES["onnxruntime"].open(folder, 1)
    done = list(predict(session, interface.read(folder), dataset, ["y"], out))
    assert done[-1] == 11
    read = read_predictions(out)
    assert read.labels is not None
    np.testing.assert_array_equal(read.labels.stacked(), np.arange(11) % 4)
    np.testing.assert_allclose(list(read.outputs["y"]), session.run({"x": samples})["y"], rtol=1e-5, atol=1e-5)


def test_outputs_that_nobody_declared_are_known_from_a_run(tmp_path: Path, mlp: MakeMlp, dataset: Dataset) -> None:
    folder, out = mlp("m"), tmp_path / "out"
    out.mkdir()
    session, declared = RUNTIMES["onnxruntime"].open(folder, 1), replace(interface.read(folder), outputs=())
    list(predict(session, declared, dataset, ["y"], out))
    assert len(read_predictions(out).outputs["y"]) == 11


def test_unknown_output(tmp_path: Path, mlp: MakeMlp, dataset: Dataset) -> None:
    folder = mlp("m")
    session = RUNTIMES["onnxruntime"].open(folder, 1)
    with pytest.raises(UsageError, match="the model has no output logits\nit has y"):
        list(predict(session, interface.read(folder), dataset, ["logits"], tmp_path))


def test_the_pass_is_deterministic_and_reports_progress(tmp_path: Path, mlp: MakeMlp, samples: np.ndarray) -> None:
    np.savez(tmp_path / "data.npz", x=samples)
    source = dataset_source(tmp_path / "data.npz", None, None, artifact.digest_file)
    data = tmp_path / "data"
    for name, file in source.files.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(file.read_bytes())
    for name, content in source.documents.items():
        (data / name).write_bytes(content)
    model, seen = mlp("m"), []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        work = Work(tmp_path / name, tmp_path, on_progress=lambda fraction, text: seen.append((fraction, text)))
        Predict(runtime="onnxruntime").run({"model": model, "data": data}, work)
    assert artifact.digest_tree(tmp_path / "a") == artifact.digest_tree(tmp_path / "b")
    assert seen[2] == (1.0, "11 of 11 samples")


def test_the_pass_is_its_own_schema() -> None:
    schema = json_schema(Predict)
    assert set(schema["properties"]) == {"runtime", "outputs", "threads"}
    assert schema["properties"]["threads"]["description"].startswith("Threads")
