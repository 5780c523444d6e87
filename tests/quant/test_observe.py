from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

from optkit.core.errors import UsageError
from optkit.quant import observe as observing
from optkit.quant.observe import observe

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, M] x, int64[N] ids) => (float[N, M] y)
{
  square = Mul(x, x)
  shifted = Sub(square, x)
  doubled = Add(ids, ids)
  root = Sqrt(shifted)
  y = Identity(root)
}
"""


def feed(rows: int, columns: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {"x": -random.random((rows, columns), np.float32), "ids": np.arange(rows)}


def test_tensors_are_watched_and_integers_are_not(tmp_path: Path) -> None:
    feeds = [feed(2, 3, 0), feed(1, 5, 1)]
    seen = observe(ir.from_onnx_text(TEXT), ["x", "square", "doubled", "y"], feeds, tmp_path)
    assert set(seen) == {"x", "square", "y"}
    xs = np.concatenate([given["x"].ravel() for given in feeds])
    assert seen["x"].low == xs.min()
    assert seen["square"].high == (xs * xs).max()
    assert seen["y"].counts.sum() == xs.size


def test_memory_budget_splits_the_outputs_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["square", "shifted", "y"]
    feeds = [feed(4, 3, 0), feed(4, 3, 1)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = observe(ir.from_onnx_text(TEXT), names, feeds, tmp_path / "a")
    monkeypatch.setattr(observing, "BUDGET", 50)
    split = observe(ir.from_onnx_text(TEXT), names, feeds, tmp_path / "b")
    for name in names:
        np.testing.assert_array_equal(whole[name].counts, split[name].counts)


def test_nan_names_the_tensor(tmp_path: Path) -> None:
    bad: dict[str, np.ndarray] = {
        "x": np.full((1, 2), 0.5, np.float32),
        "ids": np.zeros(1, np.int64),
    }  # 0.25 - 0.5 has no root
    with pytest.raises(UsageError, match="tensor root holds NaN or infinity"):
        observe(ir.from_onnx_text(TEXT), ["square", "root"], [bad], tmp_path)
