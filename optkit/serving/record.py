"""Records golden requests: real samples at several batch sizes, and what the candidate answers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.core import interface
from optkit.core.errors import UsageError
from optkit.core.passes import Pass
from optkit.serving.golden import write_golden
from optkit.serving.verify import ALONE, compare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.core.passes import Work

FILE = "golden.npz"
SEED = 0


@dataclass(frozen=True)
class RecordGolden(Pass):
    """Runs a model on a few requests and keeps them with its answers."""

    roles: ClassVar[Mapping[str, frozenset[str]]] = {
        "model": frozenset({"onnx", "engine"}),
        "data": frozenset({"dataset"}),
    }
    optional_roles: ClassVar[frozenset[str]] = frozenset({"data"})
    produces: ClassVar[str] = "golden"
    needs: ClassVar[tuple[str, ...]] = ("numpy", "onnxruntime")
    device_bound: ClassVar[bool] = True

    runtime: str = "onnxruntime"
    """Runtime whose answers are recorded."""
    threads: int = 1
    """Threads of the session."""

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes `golden.npz`; without data, requests are made up from the interface.

        Raises:
            UsageError: The model answers the same request in two ways.
        """
        from optkit.runtimes.table import runtime_named

        model = interface.read(inputs["model"])
        session = runtime_named(self.runtime).open(inputs["model"], self.threads)
        requests = list(_real(inputs["data"], model) if "data" in inputs else _made_up(model))
        responses = [session.run(request) for request in requests]
        _refuse_random(responses[0], session.run(requests[0]))
        write_golden(work.out / FILE, requests, responses)


def _refuse_random(first: Mapping[str, NDArray[Any]], second: Mapping[str, NDArray[Any]]) -> None:
    for name, array in first.items():
        _, problem = compare(second[name], array, ALONE)
        if problem:
            raise UsageError(
                f"the model answers the same request in two ways (output '{name}'), so no server can be checked",
                hint="it draws random numbers: is a Dropout in training mode, or a Random operator left in it?",
            )


def batch_sizes(model: Interface) -> list[int]:
    """Returns up to three batch sizes: the smallest, the tuned one, and an odd one between."""
    dim = model.dims.get(interface.BATCH, interface.Dim(1, 1, 1))
    return sorted({dim.min, dim.opt, min(dim.max, max(dim.min, dim.opt // 2 | 1))})


def _real(data: Path, model: Interface) -> Iterator[dict[str, Any]]:
    from optkit.data.dataset import open_dataset
    from optkit.measure.feeding import to_model

    for size in batch_sizes(model):
        for batch in islice(open_dataset(data).batches(size), 1):
            yield to_model(batch.inputs, model)


def _made_up(model: Interface) -> Iterator[dict[str, Any]]:
    from optkit.measure.feeding import made_up_inputs

    for size in batch_sizes(model):
        yield made_up_inputs(model, model.sizes("opt") | {interface.BATCH: size}, SEED)
