"""A metric that the user wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from optkit.core.errors import UsageError
from optkit.measure.metrics.base import Metric
from optkit.measure.metrics.whole import Whole
from optkit.measure.scores import Means, Outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from optkit.measure.predictions import Predictions, Samples
    from optkit.measure.scores import Scores


@dataclass(frozen=True)
class Python(Metric):
    """What a Python function says of outputs and labels: a number for each sample, or one for all of them.

    `function(outputs, labels)` gets arrays (samples, …), or lists of arrays where shapes differ; labels are None where
    the dataset has none. Of numbers per sample the mean counts; True and False are right and wrong, which get tighter
    bounds. One number for all is computed again for each resample.
    """

    discrete: ClassVar[bool] = True
    code: ClassVar[str] = "function"

    function: str
    """`file.py:callable`, relative to the recipe. It is code that you trust: it runs with your rights."""
    better: Literal["higher", "lower"] = "higher"
    """Which way the value improves."""

    @property
    def sign(self) -> int:
        """Follows `better`."""
        return 1 if self.better == "higher" else -1

    def scores(self, predictions: Predictions, reference: Predictions) -> Scores:
        """Returns (n,), or the samples' numbers where the function tells one number for all.

        Raises:
            UsageError: There is no such function, or it returns something else.
            StepFailed: It raises; says where.
        """
        import numpy as np

        del reference
        call = self._loaded()
        outputs, labels = self.samples_of(predictions), predictions.labels

        def of(samples: NDArray[Any]) -> NDArray[Any]:
            return call(_some(outputs, samples), None if labels is None else _some(labels, samples))

        count = len(outputs)
        found = of(np.arange(count))
        if found.shape == (count,):
            return Outcomes(found.astype(np.float64)) if found.dtype.kind == "b" else Means(found.astype(np.float64))
        if found.shape == ():
            return Whole.every(count, lambda samples: float(of(samples)))
        raise UsageError(
            f"{self.function} returned shape {found.shape} for {count} samples",
            hint=f"it should return one number for each sample, shape ({count},), or one for all of them",
        )

    def _loaded(self) -> Callable[..., NDArray[Any]]:
        """Returns the function, its answer as numbers and its errors blamed on its own line."""
        import numpy as np

        from optkit.runtimes.user_code import blame, import_file

        path, _, name = self.function.rpartition(":")
        file = Path(path)
        if not name.isidentifier() or not file.is_file():
            raise UsageError(f"function {self.function}: no such file", hint="it should read file.py:callable")
        function = getattr(import_file(file.parent, file.name), name, None)
        if not callable(function):
            raise UsageError(f"{file.name} defines no function {name!r}")

        def call(*arguments: object) -> NDArray[Any]:
            with blame(file.parent, f"calling {name}"):
                answer = function(*arguments)
            try:
                found = np.asarray(answer)
            except ValueError:  # lists of different lengths
                found = np.asarray(None)
            if found.dtype.kind not in "biuf":
                raise UsageError(f"{file.name}:{name} returned {type(answer).__name__}, which is no number")
            return found

        return call


def _some(samples: Samples, chosen: NDArray[Any]) -> NDArray[Any] | list[NDArray[Any]]:
    stacked = samples.stacked()
    return [samples[index] for index in chosen.tolist()] if stacked is None else stacked[chosen]
