"""GPTQ within a pass: collects what each matrix multiplies, a few matrices at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.graph.taps import open_tap
from optkit.passes.calibration import calibration_feeds
from optkit.quant.blocks import quantize
from optkit.quant.gptq import Hessian, gptq

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import onnx_ir as ir

    from optkit.core.interface import Interface
    from optkit.core.passes import Work
    from optkit.graph.matrices import Matrix
    from optkit.graph.taps import Tap
    from optkit.quant.blocks import Blocks, Form

BUDGET = 512 << 20
"""Bytes of Hessians held at once; above it the data runs again for the next matrices."""


def corrected(  # noqa: PLR0913, PLR0917  # the step's own
    model: ir.Model, matrices: list[Matrix], form: Form, data: Path, interface: Interface, work: Work
) -> Iterator[tuple[Matrix, Blocks]]:
    """Yields each product and its weight by GPTQ; matrices with one input share its Hessian.

    Every matrix sees the inputs that the float model gives it. Inside the bodies of If and Loop no input can be
    watched: such weights are rounded to nearest.

    Raises:
        UsageError: The data does not fit the model, or an input of a matrix holds NaN or infinity on it.
    """
    import numpy as np

    tap = open_tap(model, [_input(matrix) for matrix in matrices], work.scratch / "watched")
    done = 0
    for group in _groups(matrices):
        hessians = _collected(tap, group, data, interface, work, done / len(matrices))
        for matrix in group:
            hessian, weight = hessians.get(_input(matrix)), matrix.read()
            if not np.isfinite(weight).all():
                raise UsageError(f"weight {matrix.weight.name} holds NaN or infinity")
            yield matrix, quantize(weight, form) if hessian is None else gptq(weight, hessian.total, form)
            done += 1
            work.progress(0.85 * done / len(matrices), f"{done} of {len(matrices)} matrices")


def _groups(matrices: list[Matrix]) -> list[list[Matrix]]:
    """Returns the matrices, those of one input together, in groups whose Hessians fit the budget."""
    by_input: dict[str, list[Matrix]] = {}
    for matrix in matrices:
        by_input.setdefault(_input(matrix), []).append(matrix)
    groups: list[list[Matrix]] = []
    used = BUDGET
    for members in by_input.values():
        size = 4 * members[0].shape[0] ** 2
        if used + size > BUDGET:
            groups.append([])
            used = 0
        groups[-1].extend(members)
        used += size
    return groups


def _collected(  # noqa: PLR0913, PLR0917  # the step's own
    tap: Tap, group: list[Matrix], data: Path, interface: Interface, work: Work, done: float
) -> dict[str, Hessian]:
    import numpy as np

    wanted = {_input(matrix): matrix.shape[0] for matrix in group}
    hessians = {name: Hessian(size) for name, size in wanted.items() if name in tap.types}
    for feed, _ in calibration_feeds(data, interface):
        for name, values in tap.run(feed, hessians):
            if not np.isfinite(values).all():
                raise UsageError(
                    f"tensor {name} holds NaN or infinity on the calibration data",
                    hint="check the data, or the model's arithmetic at that tensor",
                )
            hessians[name].add(values)
        work.progress(0.85 * done, f"watching {len(hessians)} inputs")
    return hessians


def _input(matrix: Matrix) -> str:
    value = matrix.node.inputs[0]
    return (value.name or "") if value is not None else ""
