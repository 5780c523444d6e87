"""What a model answered, kept on disk: it need not stay in memory beside the one that is compared with it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from optkit.core.errors import ACROSS_PROCESSES, OptkitError, StepFailed
from optkit.measure.parity import answer, feeds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.runtimes.session import Session

    Arrays = Mapping[str, NDArray[Any]]


_INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A session that repeats what another one answered to the same inputs.

    Attributes:
        folder: Holds one file per output.
        seen: For each set of made-up inputs: the sizes of the dynamic dimensions, and the outputs' shapes.
    """

    folder: Path
    seen: list[tuple[Mapping[str, int], dict[str, tuple[int, ...]]]] = field(default_factory=list)
    _answers: dict[str, tuple[str, ...] | OptkitError] = field(default_factory=dict)

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Returns the recorded outputs, mapped; raises the error if there was one."""
        import numpy as np

        key = _key(inputs)
        names = self._answers.get(key)
        if names is None:
            raise StepFailed("the reference has not run on these inputs")
        if isinstance(names, OptkitError):
            raise names
        files = [self.folder / f"{key}-{index}.npy" for index in range(len(names))]
        return {name: np.load(file, mmap_mode="r", allow_pickle=False) for name, file in zip(names, files, strict=True)}

    def keep(self, inputs: Arrays, found: dict[str, NDArray[Any]] | OptkitError) -> None:
        """Records one answer."""
        import numpy as np

        key = _key(inputs)
        if isinstance(found, OptkitError):
            self._answers[key] = found
            return
        for index, array in enumerate(found.values()):
            np.save(self.folder / f"{key}-{index}.npy", array, allow_pickle=False)
        self._answers[key] = tuple(found)

    def save(self) -> None:
        """Writes beside the outputs what `load` needs to find them again, in another process."""
        answers = {
            key: {"error": type(found).__name__, "message": found.message} if isinstance(found, OptkitError) else found
            for key, found in self._answers.items()
        }
        (self.folder / _INDEX).write_text(json.dumps({"seen": self.seen, "answers": answers}))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Returns what `save` wrote to `folder`."""
        index = json.loads((folder / _INDEX).read_text())
        seen = [(sizes, {name: tuple(shape) for name, shape in shapes.items()}) for sizes, shapes in index["seen"]]
        answers = {
            key: ACROSS_PROCESSES[found["error"]](found["message"]) if isinstance(found, dict) else tuple(found)
            for key, found in index["answers"].items()
        }
        return cls(folder, seen, answers)


def record(session: Session, interface: Interface, folder: Path, samples: Sequence[Arrays] = ()) -> Recorded:
    """Returns what `session` answers to everything that `measure_parity` will ask, kept in the empty `folder`.

    Raises:
        StepFailed: It fails at sizes that the interface declares.
    """
    recorded = Recorded(folder)
    for feed in feeds(interface, samples):
        found = answer(session, feed)
        recorded.keep(feed.inputs, found)
        if feed.sizes is not None and not isinstance(found, OptkitError):
            recorded.seen.append((feed.sizes, {name: array.shape for name, array in found.items()}))
    return recorded


def _key(inputs: Arrays) -> str:
    import numpy as np

    digest = hashlib.sha256()
    for name, array in inputs.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
