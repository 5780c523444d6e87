"""Inputs for looking into models: the first samples of data, or made-up ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.linking import DATA

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.core.events import Event
    from optkit.core.interface import Interface
    from optkit.core.runner import Execution

SAMPLES = 8
SEED = 0


def feed(
    interface: Interface, data: Path | None, execution: Execution
) -> Generator[Event, None, dict[str, NDArray[Any]]]:
    """Returns the first samples of a dataset folder or .npz file, or made-up inputs at the tuned sizes.

    Raises:
        UsageError: The data is broken, or does not fit the interface.
    """
    from optkit.data.source import dataset_source
    from optkit.measure.feeding import made_up_inputs

    if data is None:
        return made_up_inputs(interface, interface.sizes("opt"), SEED)
    name = f"{DATA}inspection"
    execution.sources = {**execution.sources, name: dataset_source(data, None, None, execution.store.digests.file)}
    yield from execution.materialise(name)
    return first_samples(interface, execution.path(name))


def first_samples(interface: Interface, folder: Path) -> dict[str, NDArray[Any]]:
    """Returns the first samples of a dataset, as the model takes them.

    Raises:
        UsageError: They do not fit the interface.
    """
    from optkit.data.dataset import open_dataset
    from optkit.measure.feeding import batch_limit, to_model

    batch = next(iter(open_dataset(folder).batches(min(SAMPLES, batch_limit(interface)))))
    return to_model(batch.inputs, interface)
