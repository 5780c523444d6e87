"""Asks everything once, alone and before any load, so that what is right is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError, VerifyFailed
from optkit.serving.golden import read_golden
from optkit.serving.load.drive import Question, wrong
from optkit.serving.load.protocol import RequestFailed, within
from optkit.serving.load.samples import check_fits, cut, from_dataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np

    from optkit.data.dataset import Dataset
    from optkit.serving.load.protocol import ModelSpec, Server
    from optkit.serving.load.samples import Arrays


def recorded(server: Server, model: ModelSpec, golden: Path, batch: int) -> list[Question]:
    """Returns requests of `batch` samples cut from recorded ones, which the server must answer as recorded.

    Raises:
        UsageError: The file is no golden requests, or the model takes something else.
        VerifyFailed: The server answers otherwise than recorded, or not at all.
    """
    requests, responses = read_golden(golden)
    for index, (_, answer) in enumerate(_answers(server, model, requests)):
        problem = wrong(answer, responses[index])
        if problem:
            raise VerifyFailed(f"recorded request {index}, sent alone: {problem}", hint="is another model served?")
    return _questions(server, model, requests, batch)


def from_data(server: Server, model: ModelSpec, dataset: Dataset, batch: int) -> list[Question]:
    """Returns requests of `batch` samples of a dataset; right is what the server answers to them alone.

    Raises:
        UsageError: The model takes something else than the dataset offers.
        VerifyFailed: The server does not answer, or with NaN.
    """
    questions = _questions(server, model, from_dataset(dataset, model, batch), batch)
    for index, question in enumerate(questions):
        names = [name for name, array in question.outputs.items() if _has_nan(array)]
        if names:
            raise VerifyFailed(f"request {index}, sent alone: output '{names[0]}' holds NaN")
    return questions


def _questions(server: Server, model: ModelSpec, requests: Iterable[Arrays], batch: int) -> list[Question]:
    pieces = cut(requests, model, batch)
    if not pieces:
        raise UsageError(f"no request holds {batch} samples", hint="lower --batch")
    answered = _answers(server, model, [inputs for inputs, _ in pieces])
    return [
        Question(request, samples, answer) for (request, answer), (_, samples) in zip(answered, pieces, strict=True)
    ]


def _answers(server: Server, model: ModelSpec, requests: Sequence[Arrays]) -> Iterator[tuple[Any, Arrays]]:
    """Yields each request as it is sent, and the answer to it."""
    connection = server.connect()
    try:
        for inputs in requests:
            check_fits(inputs, model)
            request = server.prepare(model, inputs)
            with within(server.timeout, connection):
                answer = server.read(connection.send(request))
            yield request, answer
    except RequestFailed as error:
        raise VerifyFailed(f"a request sent alone failed: {error}") from error
    finally:
        connection.close()


def _has_nan(array: np.ndarray) -> bool:
    import numpy as np

    return array.dtype.kind == "f" and bool(np.isnan(array).any())
