"""Moves outliers from activations into weights, without changing the function.

Xiao et al., "SmoothQuant: accurate and efficient post-training quantization for large language models", 2022,
arXiv 2211.10438. The migration strength alpha is chosen per tensor, by the error expected of the layers that read it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.graph.channels import Constant, behind, consumers, producers, rescale, reshapes_only, weight_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

ALPHAS = tuple(step / 20 for step in range(21))
_ACTIVATION_STEPS, _WEIGHT_STEPS = 255, 127
_FLOOR = 2.0**-7
"""Of the median channel. Channels that calibration hardly sees must not be blown up: they may wake up later."""
_LINEAR = frozenset({"Gemm", "MatMul"})


@dataclass(frozen=True, slots=True)
class Site:
    """A tensor that linear layers read, directly or reshaped.

    Attributes:
        tensor: With channels on its last axis.
        weights: Of the layers that will be quantized.
        divided: Constants in front that absorb the division; None where it takes a Mul.
        multiplied: The weights behind.
        readers: Nodes and inputs that lead to these weights. They are all that reads the tensor, unless it takes a Mul.
    """

    tensor: ir.Value
    weights: tuple[Constant, ...]
    divided: tuple[Constant, ...] | None
    multiplied: tuple[Constant, ...]
    readers: tuple[tuple[ir.Node, int], ...]


@dataclass(frozen=True, slots=True)
class Channels:
    """What calibration saw of a tensor's channels.

    Attributes:
        peak: Largest magnitude, float64[channels].
        power: Mean square, float64[channels].
        count: How many values of each were seen.
    """

    peak: NDArray[Any]
    power: NDArray[Any]
    count: int


@dataclass(frozen=True, slots=True)
class Smoothing:
    """What was done at one tensor.

    Attributes:
        alpha: Share of the outliers that the weights took.
        gain_db: How much the expected error of the layers behind shrank.
        inserted: Whether it took a Mul.
    """

    alpha: float
    gain_db: float
    inserted: bool


def find_sites(model: ir.Model, nodes: Collection[str]) -> list[Site]:
    """Returns the tensors that Gemm and MatMul layers among `nodes` (names) read, in graph order."""
    layers = [node for node in model.graph if node.name in nodes and node.op_type in _LINEAR and weight_of(node)]
    tensors = {_root(node.inputs[0]): None for node in layers if node.inputs[0] is not None}
    return [site for tensor in tensors if (site := _site(tensor, nodes)) is not None]


def smooth(
    model: ir.Model,
    sites: Sequence[Site],
    seen: Mapping[str, Channels],
    *,
    min_gain_db: float,
    min_gain_of_mul_db: float,
) -> dict[str, Smoothing]:
    """Rescales the channels of the sites in place; returns what was done, by tensor.

    Args:
        model: The graph.
        sites: Of this graph.
        seen: Tensor → what calibration saw; other tensors are left alone.
        min_gain_db: Expected gain below which a site is left alone.
        min_gain_of_mul_db: The same where it takes a Mul at run time.
    """
    done: dict[str, Smoothing] = {}
    for site in sites:
        name = site.tensor.name or ""
        if name not in seen:
            continue
        alpha, scales, gain = best_scales(seen[name], [_matrix(weight) for weight in site.weights])
        inserted = site.divided is None
        if gain >= (min_gain_of_mul_db if inserted else min_gain_db):
            _apply(model.graph, site, scales)
            done[name] = Smoothing(alpha, gain, inserted)
    return done


def best_scales(seen: Channels, weights: Sequence[NDArray[Any]]) -> tuple[float, NDArray[Any], float]:
    """Returns alpha, the scales float64[channels] that activations are divided by, and the gain in dB.

    Args:
        seen: The channels of the activation.
        weights: float[channels, outputs] of each layer that reads it.
    """
    import numpy as np

    ranges = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
    peak, heights = _floored(seen.peak), _floored(ranges)
    candidates = [_centered(peak**alpha / heights ** (1 - alpha)) for alpha in ALPHAS]
    before = expected_error(seen, weights, np.ones_like(peak))
    errors = [expected_error(seen, weights, scales) for scales in candidates]
    best = int(np.argmin(errors))
    if not 0 < errors[best] < before:
        return 0.0, np.ones_like(peak), 0.0
    return ALPHAS[best], candidates[best], 10 * math.log10(before / errors[best])


def expected_error(seen: Channels, weights: Sequence[NDArray[Any]], scales: NDArray[Any]) -> float:
    """Returns the squared error expected at the outputs of the layers, summed over outputs.

    Rounding errors are taken as uniform and independent: those of the activation, of one step size, pass through the
    weights; those of the weights, of one step size per output, through the activation. Values beyond the range are
    clipped: scales that bring every channel's peak to the end of the range leave none of them headroom.
    """
    import numpy as np

    limit = float((seen.peak / scales).max())
    step, clipped = 2 * limit / _ACTIVATION_STEPS, _clipped_power(seen, limit * scales)
    power = float((seen.power / scales**2).sum())
    error = 0.0
    for weight in weights:
        scaled = np.abs(weight) * scales[:, None]
        steps = scaled.max(axis=0) / _WEIGHT_STEPS
        error += step**2 / 12 * float((scaled**2).sum()) + power * float((steps**2).sum()) / 12
        error += float(clipped @ (weight**2).sum(axis=1))
    return error


def _clipped_power(seen: Channels, limits: NDArray[Any]) -> NDArray[Any]:
    """Returns what clipping takes off values that calibration did not see, mean square, float64[channels].

    One value in `count + 1` exceeds the peak of the `count` seen. How many exceed a limit beyond it, and by how much,
    is that of a normal distribution's tail.
    """
    import numpy as np

    # Floors against division by zero where a channel is dead.
    limits = np.maximum(limits, 1e-100)
    power = np.maximum(seen.power, 1e-6 * limits**2)
    exceeding = np.exp(np.minimum((seen.peak**2 - limits**2) / (2 * power), 0)) / (seen.count + 1)
    return np.asarray(exceeding * 2 * (power / limits) ** 2)


def _root(value: ir.Value) -> ir.Value:
    """Returns the tensor that `value` is a reshaping of."""
    while (node := value.producer()) is not None and reshapes_only(node) and node.inputs[0] is not None:
        value = node.inputs[0]
    return value


def _site(tensor: ir.Value, nodes: Collection[str]) -> Site | None:
    reached = [(use.node, use.idx, behind(use.node, use.idx, -1)) for use in tensor.uses()]
    leading = [(node, index, found) for node, index, found in reached if found and _any_linear(found, nodes)]
    multiplied = tuple(constant for _, _, found in leading for constant in found)
    weights = tuple(each for each in multiplied if _any_linear((each,), nodes))
    if not weights or tensor.const_value is not None:
        return None
    readers = tuple((node, index) for node, index, _ in leading)
    divided, everything = producers(tensor, -1), consumers(tensor, -1)
    if divided is None or everything is None:
        return Site(tensor, weights, None, multiplied, readers)
    return Site(tensor, weights, divided, everything, readers)


def _any_linear(found: Sequence[Constant], nodes: Collection[str]) -> bool:
    return any(each.node.name in nodes and each.node.op_type in _LINEAR for each in found)


def _apply(graph: ir.Graph, site: Site, scales: NDArray[Any]) -> None:
    if site.divided is None:
        _insert(graph, site, scales)
    for constant in site.divided or ():
        rescale(graph, constant, 1 / scales)
    for constant in site.multiplied:
        rescale(graph, constant, scales)


def _insert(graph: ir.Graph, site: Site, scales: NDArray[Any]) -> None:
    """Puts tensor · (1 / scales) in front of the layers; everything else still reads the tensor."""
    import numpy as np
    import onnx_ir as ir

    tensor, readers = site.tensor, {node for node, _ in site.readers}
    inverse = (1 / scales).astype(np.float32)
    factor = ir.Value(name=f"{tensor.name}_smoothing", const_value=ir.Tensor(inverse, name=f"{tensor.name}_smoothing"))
    factor.shape, factor.type = ir.Shape(inverse.shape), ir.TensorType(ir.DataType.FLOAT)
    graph.register_initializer(factor)
    node = ir.node("Mul", [tensor, factor], name=f"{tensor.name}_smooth")
    smoothed = node.outputs[0]
    smoothed.name, smoothed.type, smoothed.shape = f"{tensor.name}_smoothed", tensor.type, tensor.shape
    graph.insert_before(next(each for each in graph if each in readers), node)
    for reader, index in site.readers:
        reader.replace_input_with(index, smoothed)


def _matrix(weight: Constant) -> NDArray[Any]:
    array = weight.array()
    return array.T if weight.axis == -1 else array


def _floored(values: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    alive = values[values > 0]
    floor = float(np.median(alive)) * _FLOOR if alive.size else 1.0
    return np.asarray(np.maximum(values, floor), np.float64)


def _centered(scales: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.asarray(scales / np.exp(np.log(scales).mean()))
