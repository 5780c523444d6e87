"""Parity: does a model still compute what the model before the step computed, at every size that it claims to take?

An exporter may bake the example's sizes into a graph, silently and only for some sizes: so several are tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core.errors import OptkitError, StepFailed
from optkit.measure.feeding import made_up_inputs
from optkit.measure.sizes import parity_cases, required_cases

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.runtimes.session import Session

    Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class OutputError:
    """How far one output is from the reference's.

    Attributes:
        output: Its name.
        max_abs: Largest absolute difference; infinite where only one of the two is NaN or infinite.
        relative_to_scale: `max_abs` over the largest magnitude in the reference. Integers and booleans are equal (0)
            or not (infinite).
        cosine: Cosine between both, flattened.
        sqnr_db: Signal-to-noise ratio in dB, the noise being the difference; infinite if there is none.
    """

    output: str
    max_abs: float
    relative_to_scale: float
    cosine: float
    sqnr_db: float


@dataclass(frozen=True, slots=True)
class ParityCase:
    """One set of inputs on which both models ran.

    Attributes:
        inputs: What they were: sizes of the dynamic dimensions, or the name of a sample.
        errors: One per output.
    """

    inputs: str
    errors: tuple[OutputError, ...]


@dataclass(frozen=True, slots=True)
class ParityReport:
    """All cases.

    Attributes:
        cases: Those on which both models ran.
        notes: Sizes that were made smaller to save memory, and those that the reference itself does not take.
    """

    cases: tuple[ParityCase, ...]
    notes: tuple[str, ...]

    @property
    def worst(self) -> tuple[ParityCase, OutputError] | None:
        """The case and the output with the largest relative error, or None if nothing was compared."""
        pairs = [(case, error) for case in self.cases for error in case.errors]
        return max(pairs, key=lambda pair: pair[1].relative_to_scale, default=None)


def check_parity(
    reference: Session,
    candidate: Session,
    interface: Interface,
    tolerance: float,
    samples: Sequence[Arrays] = (),
) -> ParityReport:
    """Returns how close `candidate` is to `reference` at several sizes, and on real samples if given.

    Args:
        reference: The model before the step.
        candidate: The model after it.
        interface: What both take and return.
        tolerance: Largest `relative_to_scale` of any output that is still parity.
        samples: Inputs in the model's layout, compared besides the made-up ones.

    Raises:
        StepFailed: An output is further off, or differs in shape, or a model fails. The message names the output and
            the sizes.
    """
    report = measure_parity(reference, candidate, interface, samples)
    if report.worst is None:
        raise StepFailed("parity could not be checked: the models have no outputs")
    case, error = report.worst
    if not error.relative_to_scale <= tolerance:
        raise StepFailed(
            f"output '{error.output}' is off by {error.relative_to_scale:.3g} of its scale at {case.inputs} "
            f"(largest difference {error.max_abs:.3g}, cosine {error.cosine:.6f}); the tolerance is {tolerance:g}"
        )
    return report


def measure_parity(
    reference: Session, candidate: Session, interface: Interface, samples: Sequence[Arrays] = ()
) -> ParityReport:
    """Returns the errors of `candidate` against `reference`, as `check_parity` does, whatever they are.

    Raises:
        StepFailed: A model fails at sizes that the interface declares, or outputs differ in name or shape.
    """
    cases, notes = parity_cases(interface)
    required = required_cases(interface)
    done: list[ParityCase] = []
    for label, inputs, must_run in _feeds(interface, cases, required, samples):
        try:
            expected = reference.run(inputs)
        except OptkitError as error:
            if must_run:
                raise _at(error, f"the reference does not run at {label}") from error
            notes.append(f"skipped {label}: the reference does not run there ({error.message})")
            continue
        done.append(ParityCase(label, _compared(candidate, inputs, expected, label)))
    return ParityReport(tuple(done), tuple(notes))


def compare_outputs(reference: Arrays, candidate: Arrays) -> list[OutputError]:
    """Returns the error of each output of `candidate`, in the order of `reference`.

    Raises:
        StepFailed: An output is absent, or differs in shape or in kind of number.
    """
    absent = [name for name in reference if name not in candidate]
    if absent:
        raise StepFailed(f"the candidate does not return {', '.join(absent)}; it returns {', '.join(candidate)}")
    return [_output_error(name, expected, candidate[name]) for name, expected in reference.items()]


def parity_inputs(interface: Interface) -> Iterator[Arrays]:
    """Yields the made-up inputs that a check of parity runs both models on."""
    cases, _ = parity_cases(interface)
    return (inputs for _, inputs, _ in _feeds(interface, cases, (), ()))


def _feeds(
    interface: Interface,
    cases: Iterable[Mapping[str, int]],
    required: Sequence[Mapping[str, int]],
    samples: Sequence[Arrays],
) -> Iterator[tuple[str, Arrays, bool]]:
    for seed, sizes in enumerate(cases):
        label = ", ".join(f"{name}={size}" for name, size in sizes.items()) or "its fixed sizes"
        yield label, made_up_inputs(interface, sizes, seed), sizes in required
    for index, sample in enumerate(samples):
        yield f"sample {index}", sample, True


def _compared(candidate: Session, inputs: Arrays, expected: Arrays, label: str) -> tuple[OutputError, ...]:
    try:
        return tuple(compare_outputs(expected, candidate.run(inputs)))
    except StepFailed as error:
        raise _at(error, f"no parity at {label}") from error


def _at(error: OptkitError, where: str) -> StepFailed:
    return StepFailed(f"{where}: {error.message}", hint=error.hint)


def _output_error(name: str, expected: NDArray[Any], actual: NDArray[Any]) -> OutputError:
    import numpy as np

    if expected.shape != actual.shape:
        raise StepFailed(f"output '{name}' has shape {actual.shape}, the reference's has {expected.shape}")
    exact = expected.dtype.kind in "biu"
    if exact != (actual.dtype.kind in "biu"):
        raise StepFailed(f"output '{name}' is {actual.dtype}, the reference's is {expected.dtype}")
    ours, theirs = actual.astype(np.float64).reshape(-1), expected.astype(np.float64).reshape(-1)
    same = (actual == expected).reshape(-1) | (np.isnan(ours) & np.isnan(theirs))
    if exact or not np.isfinite(ours[~same]).all() or not np.isfinite(theirs[~same]).all():
        return _exact_error(name, ours, theirs, equal=bool(same.all()))
    # Where both are the same NaN or infinity there is nothing to measure.
    finite = np.isfinite(ours) & np.isfinite(theirs)
    return _float_error(name, ours[finite], theirs[finite])


def _exact_error(name: str, ours: NDArray[Any], theirs: NDArray[Any], *, equal: bool) -> OutputError:
    import numpy as np

    if equal:
        return OutputError(name, 0.0, 0.0, 1.0, math.inf)
    gap = np.abs(ours - theirs).max()
    return OutputError(name, float(gap) if np.isfinite(gap) else math.inf, math.inf, math.nan, -math.inf)


def _float_error(name: str, ours: NDArray[Any], theirs: NDArray[Any]) -> OutputError:
    import numpy as np

    noise = ours - theirs
    if not noise.any():
        return OutputError(name, 0.0, 0.0, 1.0, math.inf)
    gap, scale = float(np.abs(noise).max()), float(np.abs(theirs).max())
    norms = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
    signal, noise_power = float(theirs @ theirs), float(noise @ noise)
    return OutputError(
        output=name,
        max_abs=gap,
        relative_to_scale=gap / scale if scale else math.inf,
        cosine=float(ours @ theirs) / norms if norms else 0.0,
        sqnr_db=10 * math.log10(signal / noise_power) if signal else -math.inf,
    )
