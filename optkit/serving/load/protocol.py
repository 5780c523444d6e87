"""What a client of the Open Inference Protocol offers, whatever carries it.

Source: https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from optkit.core.errors import UsageError
from optkit.serving.golden import LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np

MOST_BYTES = LIMIT
"""Of one answer."""
_LONGEST = 200


class RequestFailed(Exception):
    """A request got no answer, or none that can be read; the text says why, alike for alike causes."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor as the server declares it.

    Attributes:
        name: Its name.
        datatype: As the protocol spells it, such as FP32.
        shape: -1 stands for any size.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"'{self.name}' {self.datatype} {list(self.shape)}"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as the server declares it; a server may leave inputs and outputs out."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Connection(Protocol):
    """One client's own connection."""

    def send(self, request: Any) -> Any:  # noqa: ANN401  # what `Server.prepare` gave, what `Server.read` takes
        """Sends a prepared request and returns the answer unread.

        Raises:
            RequestFailed: The server refused the request, did not answer in time, or went away.
        """

    def close(self) -> None:
        """Ends the connection; a request that waits for its answer fails."""


class Server(Protocol):
    """A server that is spoken to."""

    name: str
    """The server's own name and version."""
    tensors: str
    """How tensors travel: `binary` or `json`."""
    timeout: float
    """Seconds that an answer may take."""

    def model(self, name: str) -> ModelSpec:
        """Returns what the server says of a model.

        Raises:
            UsageError: It has no such model, or does not speak the protocol.
        """

    def prepare(self, model: ModelSpec, inputs: Mapping[str, np.ndarray]) -> Any:  # noqa: ANN401  # its own form
        """Returns a request, ready to be sent any number of times.

        Raises:
            UsageError: The tensors cannot be sent.
        """

    def read(self, answer: Any) -> dict[str, np.ndarray]:  # noqa: ANN401  # its own form
        """Returns the tensors of an answer; text as arrays of `str`.

        Raises:
            RequestFailed: The answer is malformed.
        """

    def connect(self) -> Connection:
        """Returns a connection; it is opened when something is sent."""


@contextmanager
def within(seconds: float, connection: Connection) -> Iterator[None]:
    """Closes the connection if the block takes longer: each byte may come in time, and the last one never."""
    timer = threading.Timer(seconds, connection.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def on_wire(array: np.ndarray, spec: TensorSpec | None) -> np.ndarray:
    """Returns an array as it travels: text as bytes, and with an axis of size 1 where the server declares one more.

    Triton has no scalars, and no tensors of a batch axis alone.
    """
    import numpy as np

    if array.dtype.kind == "U":
        array = np.char.encode(array, "utf-8").astype(np.object_)
    wants_more = spec is not None and len(spec.shape) == array.ndim + 1 and spec.shape[-1] == 1
    return array[..., np.newaxis] if wants_more or (spec is None and array.ndim == 0) else array


def off_wire(array: np.ndarray) -> np.ndarray:
    """Returns an array as models know it: bytes as text."""
    import numpy as np

    if array.dtype.kind != "O":
        return array
    texts = [item.decode(errors="replace") if isinstance(item, bytes) else str(item) for item in array.ravel()]
    return np.array(texts, dtype=np.str_).reshape(array.shape)


def first_words(said: str) -> str:
    """Returns what a server said as one short line."""
    line = " ".join(said.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def datatype(array: np.ndarray) -> str:
    """Returns the protocol's name for what an array holds."""
    from tritonclient.utils import np_to_triton_dtype

    name = np_to_triton_dtype(array.dtype)
    if name is None:
        raise UsageError(f"the protocol has no tensors of {array.dtype}")
    return str(name)


def model_spec(name: str, inputs: Any, outputs: Any) -> ModelSpec:  # noqa: ANN401  # JSON
    """Returns a model from its metadata, as JSON."""
    return ModelSpec(name, _tensors(inputs), _tensors(outputs))


def _tensors(found: Any) -> tuple[TensorSpec, ...]:  # noqa: ANN401  # JSON
    return tuple(
        TensorSpec(str(each["name"]), str(each["datatype"]), tuple(int(size) for size in each["shape"]))
        for each in found or ()
    )
