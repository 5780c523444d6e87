"""Running a model over a whole dataset, into a predictions folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError
from optkit.core.interface import BATCH, Dim
from optkit.measure.feeding import batch_limit, from_model, made_up_inputs, to_model, with_outputs
from optkit.measure.predictions import PredictionsWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.core.interface import Interface, Tensor
    from optkit.data.dataset import Dataset
    from optkit.runtimes.session import Session


def predict(
    session: Session, interface: Interface, dataset: Dataset, outputs: Sequence[str], out: Path
) -> Iterator[int]:
    """Writes what `session` says about every sample of `dataset`; yields the number of samples done, as it goes.

    Args:
        session: The opened model.
        interface: Its interface.
        dataset: The samples, and their labels if there are any.
        outputs: The outputs to keep; none means all of them.
        out: An empty folder.

    Raises:
        UsageError: The dataset does not fit the interface, or an output does not exist.
        StepFailed: The model fails, or returns what its interface does not declare.
    """
    if not interface.outputs:
        interface = with_outputs(interface, session.run(made_up_inputs(interface, interface.sizes("opt"), seed=0)))
    wanted = _wanted(interface, outputs)
    declared = interface.dims.get(BATCH, Dim())
    size = min(declared.opt, batch_limit(interface))
    names, slices = [tensor.name for tensor in wanted], dataset.slicings()
    with PredictionsWriter(out, names, labels=dataset.has_labels, slices=slices) as writer:
        for batch in dataset.batches(size):
            count = len(next(iter(batch.inputs.values())))
            run = max(count, min(declared.min, size))
            results = session.run(to_model(_filled(batch.inputs, run), interface, batch.start))
            kept = {tensor.name: from_model(results[tensor.name], tensor, run)[:count] for tensor in wanted}
            writer.add(kept, batch.labels)
            yield batch.start + count


def _wanted(interface: Interface, outputs: Sequence[str]) -> list[Tensor]:
    known = {tensor.name: tensor for tensor in interface.outputs}
    unknown = [name for name in outputs if name not in known]
    if unknown:
        raise UsageError(f"the model has no output {', '.join(unknown)}", hint=f"it has {', '.join(known)}")
    return [known[name] for name in outputs] or list(interface.outputs)


def _filled(inputs: Mapping[str, NDArray[Any]], size: int) -> dict[str, NDArray[Any]]:
    """Repeats the last sample where a batch is smaller than the model takes."""
    import numpy as np

    def fill(array: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([array, np.repeat(array[-1:], size - len(array), axis=0)])

    return {name: fill(array) if len(array) < size else array for name, array in inputs.items()}
