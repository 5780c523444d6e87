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
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.runtimes.session import Session

    Arrays = Mapping[str, NDArray[Any]]

_PIECE = 2**20
"""Values of an output that are compared at once, in float64: a large output need not fit in memory five times."""


@dataclass(frozen=True, slots=True)
class OutputDifference:
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
    errors: tuple[OutputDifference, ...]


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
    def worst(self) -> tuple[ParityCase, OutputDifference] | None:
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
    notes = parity_cases(interface)[1]
    done: list[ParityCase] = []
    for feed in feeds(interface, samples):
        expected = answer(reference, feed)
        if isinstance(expected, OptkitError):
            notes.append(f"skipped {feed.label}: the reference does not run there ({expected.message})")
        else:
            done.append(ParityCase(feed.label, _compared(candidate, feed.inputs, expected, feed.label)))
    return ParityReport(tuple(done), tuple(notes))


def compare_outputs(reference: Arrays, candidate: Arrays) -> list[OutputDifference]:
    """Returns the error of each output of `candidate`, in the order of `reference`.

    Raises:
        StepFailed: An output is absent, or differs in shape or in kind of number.
    """
    absent = [name for name in reference if name not in candidate]
    if absent:
        raise StepFailed(f"the candidate does not return {', '.join(absent)}; it returns {', '.join(candidate)}")
    return [_output_difference(name, expected, candidate[name]) for name, expected in reference.items()]


@dataclass(frozen=True, slots=True)
class Feed:
    """Inputs that models are compared on.

    Attributes:
        label: Sizes of the dynamic dimensions, or the name of a sample.
        inputs: In the model's layout.
        sizes: Of the dynamic dimensions; None for a sample.
        required: Whether the interface promises that the model takes them.
    """

    label: str
    inputs: Arrays
    sizes: Mapping[str, int] | None
    required: bool


def feeds(interface: Interface, samples: Sequence[Arrays] = ()) -> Iterator[Feed]:
    """Yields the made-up inputs at the sizes of `parity_cases`, and then the samples."""
    required = required_cases(interface)
    for seed, sizes in enumerate(parity_cases(interface)[0]):
        label = ", ".join(f"{name}={size}" for name, size in sizes.items()) or "its fixed sizes"
        yield Feed(label, made_up_inputs(interface, sizes, seed), sizes, sizes in required)
    for index, sample in enumerate(samples):
        yield Feed(f"sample {index}", sample, None, required=True)


def answer(model: Session, feed: Feed) -> dict[str, NDArray[Any]] | OptkitError:
    """Returns what the reference gives, or why it takes no such sizes.

    Raises:
        StepFailed: It fails on what the interface promises.
    """
    try:
        return model.run(feed.inputs)
    except OptkitError as error:
        if feed.required:
            raise _at(error, f"the reference does not run at {feed.label}") from error
        return error


def _compared(candidate: Session, inputs: Arrays, expected: Arrays, label: str) -> tuple[OutputDifference, ...]:
    try:
        return tuple(compare_outputs(expected, candidate.run(inputs)))
    except StepFailed as error:
        raise _at(error, f"no parity at {label}") from error


def _at(error: OptkitError, where: str) -> StepFailed:
    return StepFailed(f"{where}: {error.message}", hint=error.hint)


def _output_difference(name: str, expected: NDArray[Any], actual: NDArray[Any]) -> OutputDifference:
    if expected.shape != actual.shape:
        raise StepFailed(f"output '{name}' has shape {actual.shape}, the reference's has {expected.shape}")
    exact = expected.dtype.kind in "biu"
    if exact != (actual.dtype.kind in "biu"):
        raise StepFailed(f"output '{name}' is {actual.dtype}, the reference's is {expected.dtype}")
    ours, theirs = actual.reshape(-1), expected.reshape(-1)
    pieces = [_piece(ours[at : at + _PIECE], theirs[at : at + _PIECE]) for at in range(0, ours.size, _PIECE)]
    if all(piece.equal for piece in pieces):
        return OutputDifference(name, 0.0, 0.0, 1.0, math.inf)
    gap = max(piece.gap for piece in pieces)
    if exact or math.isinf(gap):
        return OutputDifference(name, gap, math.inf, math.nan, -math.inf)
    return _float_error(name, gap, pieces)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What a part of two outputs adds to their comparison.

    Attributes:
        equal: Whether all values are the same; NaN is the same as NaN.
        gap: Largest absolute difference; infinite where only one value is finite.
        scale: Largest magnitude in the reference.
        cross: Sum of products of both.
        powers: Sums of squares: of the output, of the reference, of their difference.
    """

    equal: bool
    gap: float
    scale: float
    cross: float
    powers: tuple[float, float, float]


def _piece(ours: NDArray[Any], theirs: NDArray[Any]) -> _Piece:
    import numpy as np

    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    same = (ours == theirs) | (np.isnan(a) & np.isnan(b))
    # Where both are the same NaN or infinity there is nothing to measure.
    finite = np.isfinite(a) & np.isfinite(b)
    mixed = not (finite | same).all()
    a, b = a[finite], b[finite]
    noise = a - b
    gap = math.inf if mixed else float(np.abs(noise).max(initial=0.0))
    powers = float(a @ a), float(b @ b), float(noise @ noise)
    return _Piece(bool(same.all()), gap, float(np.abs(b).max(initial=0.0)), float(a @ b), powers)


def _float_error(name: str, gap: float, pieces: Sequence[_Piece]) -> OutputDifference:
    scale = max(piece.scale for piece in pieces)
    ours, signal, noise = (math.fsum(piece.powers[which] for piece in pieces) for which in range(3))
    norms = math.sqrt(ours * signal)
    return OutputDifference(
        output=name,
        max_abs=gap,
        relative_to_scale=gap / scale if scale else math.inf,
        cosine=math.fsum(piece.cross for piece in pieces) / norms if norms else 0.0,
        sqnr_db=10 * math.log10(signal / noise) if signal and noise else math.inf if signal else -math.inf,
    )
