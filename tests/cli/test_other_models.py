"""Models that no page names: several inputs and outputs, token ids, a dynamic sequence length."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.cli.project import Project, write_data

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit

MODEL = """\
import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        self.layer = nn.TransformerEncoderLayer(32, 2, 64, batch_first=True)
        self.head = nn.Linear(32, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.layer(self.embedding(ids), src_key_padding_mask=mask == 0)
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weights).sum(1) / weights.sum(1)
        return self.head(pooled), hidden


def build() -> nn.Module:
    return Encoder()
"""
RECIPE = """\
name: encoder
model:
  factory: model.py:build
  inputs:
    ids: {dtype: int64, shape: [batch, tokens], range: [0, 49]}
    mask: {dtype: int64, shape: [batch, tokens], range: [1, 1]}
  outputs: [logits, hidden]
  dims:
    batch: {min: 1, opt: 4, max: 8}
    tokens: {min: 1, opt: 12, max: 24}
data:
  calibration: {dataset: calibration.npz}
  evaluation: {dataset: evaluation.npz}
metrics:
  same: {kind: agreement, output: logits}
  angle: {kind: cosine, output: hidden}
steps: [export, simplify, fuse, {id: int8, quantize: {method: dynamic}}]
gates:
  same: {min: 0.8}
  angle: {min: 0.99}
measure: {seconds: 0.2, precision: 0.5, threads: 1}
package: {triton: {}}
"""


@pytest.fixture
def encoder(tmp_path: Path) -> Project:
    """Returns a project with a small transformer."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "recipe.yaml").write_text(RECIPE)
    for seed, name in enumerate(("calibration", "evaluation")):
        draw = np.random.default_rng(seed)
        ids = draw.integers(0, 50, (64, 12))
        mask = (np.arange(12) < draw.integers(4, 13, (64, 1))).astype(np.int64)
        write_data(folder / f"{name}.npz", {"ids": ids, "mask": mask})
    return Project(folder)


@pytest.mark.heavy
def test_a_transformer_goes_all_the_way(fresh: Optkit, encoder: Project, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fresh("optimize", encoder.recipe, "-o", out)
    report = json.loads((out / "report.json").read_text())
    (candidate,) = report["candidates"]
    assert {metric["name"]: metric["samples"] for metric in candidate["metrics"]} == {"same": 64, "angle": 64}
    model = out / "triton" / "encoder" / "1" / "model.onnx"
    found = fresh("inspect", model, "--json").json
    assert [tensor["shape"] for tensor in found["inputs"]] == [["batch", "tokens"]] * 2
    assert [tensor["name"] for tensor in found["outputs"]] == ["logits", "hidden"]
    assert found["quantized"]
    fresh("verify", out)
