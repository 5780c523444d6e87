from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from optkit.data.source import load_dataset

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "mnist"


def build() -> torch.nn.Module:
    spec = importlib.util.spec_from_file_location("mnist_model", RECIPE / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.build()
    assert isinstance(model, torch.nn.Module)
    return model


def test_the_weights_reach_the_promised_accuracy() -> None:
    model = build()
    model.load_state_dict(load_file(RECIPE / "weights.safetensors"))
    model.eval()
    dataset = load_dataset(ROOT / "calibration" / "mnist", "test")
    (batch,) = dataset.batches(len(dataset))
    with torch.inference_mode():
        predicted = model(torch.from_numpy(batch.inputs["image"])).argmax(1).numpy()
    assert (predicted == batch.labels).mean() >= 0.97


@pytest.mark.heavy
def test_training_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    outs = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for out in outs:
        command = [sys.executable, str(RECIPE / "train.py"), "--epochs", "1", "--out", str(out)]
        done = subprocess.run(
            command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
        )
        assert "test accuracy 0." in done.stdout
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert set(load_file(outs[0])) == set(build().state_dict())
