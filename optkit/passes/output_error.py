"""How far a changed graph's outputs are from the float ones, on a few batches."""

from __future__ import annotations

import math
import shutil
from typing import TYPE_CHECKING, Any

from optkit.graph.save import save_model
from optkit.graph.session import open_graph
from optkit.passes.calibration import first

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

SAMPLES = 16


class OutputError:
    """Compares graphs with a float one, whose outputs are computed once.

    Args:
        model: The float graph.
        feeds: Its inputs; the first samples of them are used.
        folder: Where graphs are written to be opened.
    """

    def __init__(self, model: ir.Model, feeds: Iterable[Arrays], folder: Path) -> None:
        self._folder = folder
        self._feeds = list(first(feeds, SAMPLES))
        session = self.open(model)
        self._names = [info.name for info in session.get_outputs() if info.type == "tensor(float)"]
        self._expected = [self._run(session, feed, {}) for feed in self._feeds]

    def of(self, session: Any, extra: Arrays | None = None) -> float:  # noqa: ANN401  # onnxruntime ships no types
        """Returns the power of the outputs' error over that of the outputs, averaged over outputs.

        It is infinite where an output is not finite.

        Args:
            session: What `open` returned.
            extra: Inputs besides those of the float graph.
        """
        import numpy as np

        signal = np.zeros(len(self._names))
        noise = np.zeros(len(self._names))
        for feed, expected in zip(self._feeds, self._expected, strict=True):
            outputs = self._run(session, feed, extra or {})
            signal += [power(array) for array in expected]
            noise += [power(ours - theirs) for ours, theirs in zip(outputs, expected, strict=True)]
        error = float((noise / np.maximum(signal, np.finfo(float).tiny)).mean()) if self._names else 0.0
        return error if math.isfinite(error) else math.inf

    def of_model(self, model: ir.Model) -> float:
        """Returns the same for a graph."""
        return self.of(self.open(model))

    def open(self, model: ir.Model) -> Any:  # noqa: ANN401  # onnxruntime ships no types
        """Opens a graph as it is, without ONNX Runtime's rewrites, which take longer than a few batches."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        return open_graph(save_model(model, self._folder), optimize=False)

    def _run(self, session: Any, feed: Arrays, extra: Arrays) -> Sequence[NDArray[Any]]:  # noqa: ANN401  # likewise
        given = {info.name: feed[info.name] for info in session.get_inputs() if info.name in feed}
        return session.run(self._names, {**given, **extra})  # type: ignore[no-any-return]  # likewise


def power(array: NDArray[Any]) -> float:
    """Returns the sum of squares."""
    import numpy as np

    return float(np.square(array, dtype=np.float64).sum())
