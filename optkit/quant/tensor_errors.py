"""How far each quantized tensor is from the same one in the float model."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optkit.quant.observe import watch

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


@dataclass(slots=True)
class _Kept:
    """The values of a tensor in one run."""

    values: list[NDArray[Any]] = field(default_factory=list)

    def add(self, values: NDArray[Any]) -> None:
        """Keeps float values of any shape."""
        self.values.append(values)


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
    errors: dict[str, TensorError] = {}
    for start in range(0, len(chosen), _GROUP):
        group = chosen[start : start + _GROUP]
        ours = _values(
            model, [name for tensor in group for name in (tensor.name, tensor.float_name)], feed, scratch / "a"
        )
        theirs = _values(reference, [tensor.name for tensor in group], feed, scratch / "b") if reference else {}
        errors |= {tensor.name: _error(tensor, ours, theirs) for tensor in group if tensor.name in ours}
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
        found = [_compared(array, like, ((0, 1),)) for like in (values, values.T) if like.shape == array.shape]
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


def _values(model: ir.Model, names: Sequence[str], feed: Feed, folder: Path) -> dict[str, NDArray[Any]]:
    import shutil

    known = _names(model)
    kept = {name: _Kept() for name in names if name in known}
    folder.mkdir(parents=True)
    watch(model, {name: [item] for name, item in kept.items()}, [feed], folder)
    shutil.rmtree(folder)
    return {name: item.values[0] for name, item in kept.items() if item.values}


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
    # Channels are on axis 1 after a convolution, and last elsewhere.
    ratio, rescaled = _compared(expected, result, ((1,), (result.ndim - 1,)) if result.ndim > 1 else ())
    return TensorError(ratio, saturated, rescaled)


def _compared(
    expected: NDArray[Any], values: NDArray[Any], channels: tuple[tuple[int, ...], ...]
) -> tuple[float | None, bool]:
    """Returns the ratio in dB, and whether it took factors per slice along some group of axes to get there."""
    plain = sqnr_db(expected, values)
    fitted = [ratio for axes in channels if (ratio := sqnr_db(expected, _fitted(expected, values, axes))) is not None]
    best = max(fitted, default=None)
    if plain is None or best is None or best < plain + _GAIN_DB:
        return plain, False
    return best, True


def _fitted(expected: NDArray[Any], values: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """Returns the values times the factors per slice, along each of `axes`, that bring them closest; least squares."""
    import numpy as np

    fitted = values.astype(np.float64)
    for axis in axes * (_ROUNDS if len(axes) > 1 else 1):
        others = tuple(index for index in range(fitted.ndim) if index != axis)
        power = np.sum(fitted**2, axis=others, keepdims=True)
        fitted *= np.sum(fitted * expected, axis=others, keepdims=True) / np.where(power, power, 1.0)
    return fitted
