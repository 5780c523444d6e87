from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.core.errors import UsageError
from optkit.graph.session import open_graph
from optkit.quant import observe as observing
from optkit.quant.channel_statistics import ChannelStatistics
from optkit.quant.histogram import Histogram
from optkit.quant.observe import observe, watch

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


def test_the_budget_holds_from_the_first_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "BUDGET", 100)  # two tensors of 4 x 3 float32
    largest = 0

    class Session:
        def __init__(self, session: Any) -> None:  # noqa: ANN401  # onnxruntime ships no types
            self.session = session

        def run(self, names: list[str], given: dict[str, np.ndarray]) -> list[np.ndarray]:
            nonlocal largest
            arrays: list[np.ndarray] = self.session.run(names, given)
            largest = max(largest, sum(array.nbytes for array in arrays))
            return arrays

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # likewise
            return getattr(self.session, name)

    name = "optkit.quant.observe.open_graph"
    monkeypatch.setattr(name, lambda *args, **options: Session(open_graph(*args, **options)))
    observe(ir.from_onnx_text(TEXT), ["square", "shifted", "root", "y"], [feed(4, 3, 0)], tmp_path)
    assert 0 < largest <= 100


MASKED = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, S, 3] x, int64[N, S] mask) => (float[N, S, 3] y)
{
  rows = Constant<value_ints = [-1, 3]>()
  doubled = Add(x, x)
  flat = Reshape(doubled, rows)
  totals = ReduceSum<keepdims = 0>(x)
  tripled = Add(doubled, x)
  y = Identity(tripled)
}
"""


def padded(lengths: list[int], size: int, value: float) -> dict[str, np.ndarray]:
    x = np.full((len(lengths), size, 3), value, np.float32)
    mask = (np.arange(size) < np.array(lengths)[:, None]).astype(np.int64)
    x[mask == 1] = 1.0
    return {"x": x, "mask": mask}


def test_padding_is_left_out(tmp_path: Path) -> None:
    names = ["x", "doubled", "flat", "y"]
    seen = observe(ir.from_onnx_text(MASKED), names, [padded([2, 4], 4, 100.0)], tmp_path, mask="mask")
    assert {name: seen[name].high for name in names} == {"x": 1, "doubled": 2, "flat": 2, "y": 3}
    assert {seen[name].counts.sum() for name in names} == {6 * 3}


def test_the_length_of_the_padding_changes_nothing(tmp_path: Path) -> None:
    feeds = [[padded([2, 4], 4, 9.0)], [padded([2], 3, -5.0), padded([4], 7, 50.0)]]
    short, long = (
        observe(ir.from_onnx_text(MASKED), ["doubled", "flat"], each, tmp_path, mask="mask") for each in feeds
    )
    for name in short:
        np.testing.assert_array_equal(short[name].counts, long[name].counts)


def test_a_mask_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the model has no input 'msk'"):
        observe(ir.from_onnx_text(MASKED), ["y"], [], tmp_path, mask="msk")


def test_several_watchers_see_a_tensor_in_one_run(tmp_path: Path) -> None:
    histogram, channels = Histogram(), ChannelStatistics(-1)
    given = feed(4, 3, 0)
    assert watch(ir.from_onnx_text(TEXT), {"square": [histogram, channels]}, [given], tmp_path) == {"square"}
    np.testing.assert_allclose(channels.peak, (given["x"] ** 2).max(axis=0), rtol=1e-6)
    assert histogram.high == channels.peak.max()
