"""How far each quantized tensor is from the same one in the float model."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.quant.observe import Fetcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.graph.quantized_tensors import QuantizedTensor

    Feed = Mapping[str, NDArray[Any]]

_GROUP = 32
"""Tensors that are held at once, of both models."""
_ENDINGS = re.compile(r"(_scaled)?(_transposed)?(_quantized|_q[48])$")
_GAIN_DB = 6.0
"""A fit of factors per channel that gains this much found factors, not noise."""
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class TensorError:
    """One tensor.

    Attributes:
        sqnr_db: Signal-to-noise ratio to the float model's tensor of that name, in dB; None if it has none, or if both
            are equal.
        saturated: Share of an activation's values that lie outside what its codes can represent; None for weights.
        rescaled: Whether the channels differ from the float model's by factors, as equalisation and smoothing leave
            them; the ratio is then what remains without these factors.
    """

    sqnr_db: float | None
    saturated: float | None
    rescaled: bool = False


def activation_errors(
    model: ir.Model, reference: ir.Model | None, tensors: Iterable[QuantizedTensor], feed: Feed, scratch: Path
) -> dict[str, TensorError]:
    """Returns the errors of the activations with stored scales.

    What is compared is the value behind the DequantizeLinear, so that the errors of everything before it are in it.

    Args:
        model: The quantized graph.
        reference: The float graph; without it only saturation is measured.
        tensors: Quantized tensors of `model`; others than such activations are left out.
        feed: Inputs of both.
        scratch: A folder for copies of the graphs.

    Raises:
        StepFailed: A graph does not run on the feed.
    """
    known = _names(model)
    chosen = [
        tensor
        for tensor in tensors
        if tensor.role == "activation" and tensor.scale is not None and {tensor.name, tensor.float_name} <= known
    ]
    if not chosen:
        return {}
    wanted = [name for tensor in chosen for name in (tensor.name, tensor.float_name)]
    ours = _opened(model, wanted, scratch / "a")
    theirs = _opened(reference, [tensor.name for tensor in chosen], scratch / "b") if reference else None
    errors: dict[str, TensorError] = {}
    for start in range(0, len(chosen), _GROUP):
        group = chosen[start : start + _GROUP]
        names = [name for tensor in group for name in (tensor.name, tensor.float_name)]
        values = _read(ours, feed, names)
        expected = _read(theirs, feed, [tensor.name for tensor in group]) if theirs else {}
        errors |= {tensor.name: _error(tensor, values, expected) for tensor in group if tensor.name in values}
    return errors


def weight_errors(reference: ir.Model, tensors: Iterable[QuantizedTensor]) -> Iterator[tuple[str, TensorError]]:
    """Yields weight → error for the weights that the float graph stores, too, one at a time."""
    stored = {
        value.name: value.const_value for graph in reference.graphs() for value in graph.initializers.values()
    }  # fmt: skip
    for tensor in tensors:
        original = stored.get(_ENDINGS.sub("", tensor.name))
        if tensor.role != "weight" or tensor.scale is None or original is None:
            continue
        array, values = original.numpy(), tensor.values()
        # A product may store its weight either way round.
        found = [compared(array, like, ((0, 1),)) for like in (values, values.T) if like.shape == array.shape]
        if found:
            ratio, rescaled = max(found, key=lambda item: math.inf if item[0] is None else item[0])
            yield tensor.name, TensorError(ratio, None, rescaled)


def sqnr_db(signal: NDArray[Any], values: NDArray[Any]) -> float | None:
    """Returns the ratio of the signal's power to that of the difference in dB; None without a signal or difference."""
    import numpy as np

    exact = signal.astype(np.float64)
    power, noise = float(np.sum(exact**2)), float(np.sum((values - exact) ** 2))
    return 10 * math.log10(power / noise) if power and noise else None


def _names(model: ir.Model) -> set[str]:
    graph = model.graph
    return {value.name or "" for value in (*graph.inputs, *(value for node in graph for value in node.outputs))}


def _opened(model: ir.Model, names: Sequence[str], folder: Path) -> Fetcher:
    folder.mkdir(parents=True)
    return Fetcher.opened(model, list(dict.fromkeys(names)), folder)


def _read(fetch: Fetcher, feed: Feed, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    known = set(fetch.names)
    inputs = {name: feed[name] for name in names if name in feed and feed[name].dtype.kind == "f"}
    return inputs | fetch.read(feed, [name for name in dict.fromkeys(names) if name in known and name not in inputs])


def _error(
    tensor: QuantizedTensor, ours: Mapping[str, NDArray[Any]], theirs: Mapping[str, NDArray[Any]]
) -> TensorError:
    import numpy as np

    from optkit.graph.quantization_state import tensor_state

    values, span = ours[tensor.name], tensor_state(tensor).range
    saturated = None
    if span is not None and tensor.scale is not None and values.size:
        half = float(tensor.scale.max()) / 2
        saturated = float(np.mean((values < span[0] - half) | (values > span[1] + half)))
    result, expected = ours.get(tensor.float_name), theirs.get(tensor.name)
    if result is None or expected is None or result.shape != expected.shape:
        return TensorError(None, saturated)
    ratio, rescaled = compared(expected, result, channel_axes(result))
    return TensorError(ratio, saturated, rescaled)


def channel_axes(array: NDArray[Any]) -> tuple[tuple[int, ...], ...]:
    """Returns where an activation's channels may lie: on axis 1 after a convolution, and last elsewhere."""
    return ((1,), (array.ndim - 1,)) if array.ndim > 1 else ()


def compared(
    expected: NDArray[Any], values: NDArray[Any], channels: tuple[tuple[int, ...], ...]
) -> tuple[float | None, bool]:
    """Returns the ratio in dB, and whether it took factors per slice along some group of axes to get there.

    Args:
        expected: The signal.
        values: What approximates it.
        channels: Groups of axes along which factors may lie.
    """
    plain = sqnr_db(expected, values)
    if plain is None:
        return None, False
    ratios = [sqnr_db(expected, _fitted(expected, values, axes)) for axes in channels]
    best = max((math.inf if ratio is None else ratio for ratio in ratios), default=-math.inf)  # None: nothing remains
    if best < plain + _GAIN_DB:
        return plain, False
    return (None if best == math.inf else best), True


def _fitted(expected: NDArray[Any], values: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """Returns the values times the factors per slice, along each of `axes`, that bring them closest; least squares."""
    import numpy as np

    fitted = values.astype(np.float64)
    for axis in axes * (_ROUNDS if len(axes) > 1 else 1):
        others = tuple(index for index in range(fitted.ndim) if index != axis)
        power = np.sum(fitted**2, axis=others, keepdims=True)
        fitted *= np.sum(fitted * expected, axis=others, keepdims=True) / np.where(power, power, 1.0)
    return fitted
