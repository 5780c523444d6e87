"""Starts a serving runtime with what was emitted for it and replays golden requests."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optkit.core.errors import VerifyFailed
from optkit.serving import EMITTERS
from optkit.serving.golden import read_golden

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np

    from optkit.serving.emitter import Client

ALONE = 1e-4
"""Tolerance of a request sent alone, relative to the largest recorded value: the same library at the same shapes."""
TOGETHER = 5e-2
"""Tolerance of requests that may share a batch: another batch size may choose another kernel, and in a quantized model
a last-bit difference can move a value by a whole quantization step. A wrongly split batch is off by far more."""
FLOOR = 1e-6
"""Absolute tolerance, for outputs that are zero."""
CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Check:
    """One output of one answer against the recorded one.

    Attributes:
        protocol: How it was asked for; ends with "concurrent" when other requests were in flight.
        request: Index of the golden request.
        output: Its name; empty when the request as a whole failed.
        max_abs: Largest absolute error of a float, number of different elements otherwise; NaN if not comparable.
        ok: Whether it is within the tolerance.
        problem: What is wrong, else empty.
    """

    protocol: str
    request: int
    output: str
    max_abs: float
    ok: bool
    problem: str = ""


def verify(emitter: str, folder: Path, golden: Path, model: str, log: Path) -> list[Check]:
    """Starts the runtime and compares its answers with the recorded ones.

    Every request is sent over every protocol, alone; then by several clients at once over the first protocol. For
    that, each client turns the samples of the request by its own number, so that rows which end up with the wrong
    client are noticed, while anything computed over the whole batch (a dynamic quantization range) stays as it was.

    Args:
        emitter: Key of `EMITTERS`.
        folder: Where it wrote its entries.
        golden: File of `write_golden`.
        model: Name of the model to ask.
        log: File that receives the server's output.

    Returns:
        All checks, passing and failing.

    Raises:
        UsageError: The golden file cannot be read.
        MissingDependency: The runtime is not installed.
        VerifyFailed: The runtime did not start, or lacks the model.
    """
    requests, responses = read_golden(golden)
    with EMITTERS[emitter]().serve(folder, log) as client:
        turn = 1 if client.max_batch(model) else 0
        replays = [
            _Replay(client, model, index, request, response)
            for index, (request, response) in enumerate(zip(requests, responses, strict=True))
        ]
        return [check for replay in replays for check in (*replay.alone(), *replay.together(turn))]


@dataclass(frozen=True, slots=True)
class _Replay:
    client: Client
    model: str
    index: int
    request: Mapping[str, np.ndarray]
    response: Mapping[str, np.ndarray]

    def alone(self) -> Iterator[Check]:
        for protocol in self.client.protocols:
            yield from self._ask(protocol, protocol, ALONE)

    def together(self, turn: int) -> Iterator[Check]:
        protocol = self.client.protocols[0]

        def ask(number: int) -> list[Check]:
            return self._turned(number * turn)._ask(protocol, f"{protocol}, concurrent", TOGETHER)  # noqa: SLF001 - its own class

        with ThreadPoolExecutor(CLIENTS) as pool:
            for checks in pool.map(ask, range(CLIENTS)):
                yield from checks

    def _turned(self, by: int) -> _Replay:
        return replace(self, request=_turn(self.request, by), response=_turn(self.response, by))

    def _ask(self, protocol: str, label: str, tolerance: float) -> list[Check]:
        try:
            answer = self.client.infer(self.model, self.request, protocol)
        except VerifyFailed as error:
            return [Check(label, self.index, "", math.nan, ok=False, problem=error.message)]
        checks = []
        for output, recorded in self.response.items():
            max_abs, problem = compare(answer.get(output), recorded, tolerance)
            checks.append(Check(label, self.index, output, max_abs, not problem, problem))
        return checks


def _turn(tensors: Mapping[str, np.ndarray], by: int) -> dict[str, np.ndarray]:
    import numpy as np

    return {name: np.roll(array, by, axis=0) if by else array for name, array in tensors.items()}


def compare(answer: np.ndarray | None, recorded: np.ndarray, tolerance: float) -> tuple[float, str]:
    """Compares one output with the recorded one.

    Args:
        answer: What the server gave; None if it gave no such output.
        recorded: What it should be: exactly in dtype and shape, and, unless it holds floats, in every element.
        tolerance: Largest error of a float, relative to the largest finite magnitude in `recorded`.

    Returns:
        The largest absolute error (the number of different elements where these are not floats; NaN if not
        comparable) and what is wrong, empty if nothing is. NaN and infinity equal themselves only.
    """
    import numpy as np

    if answer is None:
        return math.nan, "missing from the answer"
    if recorded.ndim == 0 and answer.shape == (1,):
        answer = answer.reshape(())  # Triton has no scalars
    if _type(answer) != _type(recorded):
        return math.nan, f"is {_type(answer)}, recorded as {_type(recorded)}"
    if recorded.dtype.kind != "f":
        different = int(np.count_nonzero(answer != recorded))
        return different, f"{different} of {recorded.size} elements differ" if different else ""
    finite = np.isfinite(recorded)
    if not np.array_equal(np.where(finite, 0, answer), np.where(finite, 0, recorded), equal_nan=True):
        return math.nan, "has no NaN or infinity where one was recorded"
    error = float(np.abs(answer[finite].astype(np.float64) - recorded[finite]).max(initial=0))
    limit = FLOOR + tolerance * float(np.abs(recorded[finite].astype(np.float64)).max(initial=0))
    return error, "" if error <= limit else f"is off by {error:.3g}, allowed are {limit:.3g}"


def _type(array: np.ndarray) -> str:
    dtype = "text" if array.dtype.kind == "U" else str(array.dtype)  # a text's dtype holds its longest length
    return f"{dtype} {list(array.shape)}"
