from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.graph.load import load_model
from optkit.graph.save import save_model
from optkit.graph.session import open_graph
from optkit.quant.engine import Format, write_static
from optkit.quant.layout import calibrated_tensors
from optkit.quant.observe import observe
from optkit.quant.placement import place
from optkit.quant.prepare import prepare
from optkit.quant.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]


def graph(text: str, opset: int = 17, **weights: NDArray[Any]) -> ir.Model:
    """Parses a graph whose inputs called x… and ids… stay inputs; others become weights, random unless given."""
    model = ir.from_onnx_text(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    random = np.random.default_rng(0)
    ends = [value for value in model.graph.inputs if str(value.name).startswith(("x", "ids"))]
    for value in model.graph.inputs:
        if value in ends or value.shape is None:
            continue
        shape = value.shape.numpy()
        drawn = random.standard_normal(shape) / max(1.0, float(np.prod(shape[1:]))) ** 0.5
        array = weights.get(str(value.name), drawn.astype(np.float32))
        value.const_value = ir.Tensor(array, name=value.name)
        model.graph.register_initializer(value)
    model.graph.inputs[:] = ends
    return model


@dataclass(frozen=True)
class Bench:
    """Runs and quantizes graphs in a folder of its own."""

    folder: Path

    def new(self) -> Path:
        folder = self.folder / str(sum(1 for _ in self.folder.iterdir()))
        folder.mkdir()
        return folder

    def run(self, model: ir.Model, feeds: Arrays) -> dict[str, NDArray[Any]]:
        session = open_graph(save_model(model, self.new()))
        return dict(zip([info.name for info in session.get_outputs()], session.run(None, feeds), strict=True))

    def quantize(self, model: ir.Model, feeds: Arrays, target: str, form: Format | None = None) -> ir.Model:
        profile, float_model = PROFILES[target], prepare(model.clone())
        nodes = place(float_model, profile)
        seen = observe(float_model, calibrated_tensors(nodes, profile), [feeds], self.new())
        ranges = {name: (found.low, found.high) for name, found in seen.items()}
        return write_static(float_model, nodes, ranges, profile, form or Format(per_channel=True, reduce_range=True))

    def optimized(self, model: ir.Model) -> list[str]:
        """Returns the operators that ONNX Runtime really runs."""
        folder = self.new()
        open_graph(save_model(model, folder), save_optimized=folder / "optimized.onnx")
        return [node.op_type for node in load_model(folder / "optimized.onnx").graph.all_nodes()]

    def sqnr(self, model: ir.Model, quantized: ir.Model, feeds: Arrays) -> float:
        """Returns the smallest ratio of signal to error over the outputs, in dB."""
        before, after = self.run(model, feeds), self.run(quantized, feeds)
        assert list(before) == list(after)
        errors = [np.sum((before[name] - after[name]).astype(np.float64) ** 2) for name in before]
        powers = [np.sum(before[name].astype(np.float64) ** 2) for name in before]
        return float(min(10 * np.log10(power / max(error, 1e-30)) for power, error in zip(powers, errors, strict=True)))


@pytest.fixture(name="graph")
def _graph() -> Callable[..., ir.Model]:
    return graph


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def xs() -> Callable[..., dict[str, NDArray[Any]]]:
    """Returns a shape → the same random input `x` each time."""
    return lambda *shape: {"x": np.random.default_rng(1).standard_normal(shape).astype(np.float32)}
