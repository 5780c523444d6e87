"""What a model takes and returns: the contract that every pass keeps and every runtime obeys.

Each model artifact carries one as `model.json`, so that a step needs nothing but its inputs.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.core.schema import STRICT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

BATCH = "batch"
REST = "..."
"""At the end of a shape: any further axes."""
MODEL_JSON = "model.json"


@dataclass(frozen=True, slots=True)
class Dim:
    """The sizes of a dynamic dimension: what must work (min, max) and what is tuned for (opt)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    min: int = 1
    """Smallest size that must work."""
    opt: int = 1
    """Size that is tuned for and measured."""
    max: int = 8
    """Largest size that must work."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output.

    Attributes:
        name: Its name in the graph.
        dtype: A numpy dtype name: float32, int64, bool, …
        shape: Sizes; a string names a dynamic dimension. The one called `batch` is the axis of samples.
        range: Inclusive bounds of an input's values where they matter (token ids, masks): used for made-up inputs.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    range: tuple[float, float] | None = None

    @property
    def batch_axis(self) -> int | None:
        """The axis of samples, or None if the tensor has none."""
        return self.shape.index(BATCH) if BATCH in self.shape else None


@dataclass(frozen=True, slots=True)
class Interface:
    """Inputs, outputs and dynamic dimensions of a model, in order."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    dims: Mapping[str, Dim] = field(default_factory=dict)

    def sizes(self, which: str) -> dict[str, int]:
        """Returns dimension → size, where `which` is min, opt or max."""
        return {name: getattr(dim, which) for name, dim in self.dims.items()}


def shape_at(tensor: Tensor, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Returns the concrete shape of `tensor` when each dynamic dimension has the given size."""
    return tuple(size if isinstance(size, int) else sizes[size] for size in tensor.shape)


def assumed_shape(inputs: Iterable[Tensor]) -> tuple[int | str, ...]:
    """Returns the shape of an output of which only the name is known: samples come first if an input has them."""
    has_samples = any(tensor.batch_axis is not None for tensor in inputs)
    return (BATCH, REST) if has_samples else (REST,)


def to_json(interface: Interface) -> dict[str, Any]:
    """Returns the interface as JSON types."""
    return asdict(interface)


def from_json(data: Mapping[str, Any]) -> Interface:
    """Returns the interface that `to_json` wrote."""
    return Interface(
        inputs=tuple(map(_tensor, data["inputs"])),
        outputs=tuple(map(_tensor, data["outputs"])),
        dims={name: Dim(**dim) for name, dim in data["dims"].items()},
    )


def read(folder: Path) -> Interface:
    """Returns the interface of the model artifact at `folder`."""
    return from_json(json.loads((folder / MODEL_JSON).read_text())["interface"])


def write(folder: Path, interface: Interface, **extra: object) -> None:
    """Writes `model.json` into `folder`; `extra` holds what this kind of model needs besides (factory, weights)."""
    document = {"interface": to_json(interface), **extra}
    (folder / MODEL_JSON).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def _tensor(data: Mapping[str, Any]) -> Tensor:
    bounds = data["range"]
    return Tensor(data["name"], data["dtype"], tuple(data["shape"]), None if bounds is None else (bounds[0], bounds[1]))
