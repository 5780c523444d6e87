"""GPTQ within a pass: collects what each matrix multiplies, a few matrices at a time."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError
from optkit.passes.calibration import calibration_feeds
from optkit.quant.blocks import quantize
from optkit.quant.gptq import Hessian, gptq
from optkit.quant.observe import watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.core.passes import Work
    from optkit.graph.matrices import Matrix
    from optkit.quant.blocks import Blocks, Form

BUDGET = 512 << 20
"""Bytes of Hessians held at once; above it the data runs again for the next matrices."""


def corrected(  # noqa: PLR0913, PLR0917  # the step's own
    model: ir.Model, matrices: list[Matrix], form: Form, data: Path, interface: Interface, work: Work
) -> Iterator[tuple[Matrix, Blocks]]:
    """Yields each product and its weight by GPTQ; matrices with one input share its Hessian.

    Every matrix sees the inputs that the float model gives it. Inside the bodies of If and Loop no input can be
    watched: such weights are rounded to nearest. The graph may be changed between two products.

    Raises:
        UsageError: The data does not fit the model, or a tensor holds NaN or infinity.
    """
    import numpy as np

    original = model.clone()
    done = 0
    for group in _groups(matrices):
        feeds = _reported(data, interface, work, done / len(matrices))
        hessians = _collected(original, group, feeds, work.scratch / "watched")
        for matrix in group:
            hessian, weight = hessians.get(_input(matrix)), matrix.read()
            if not np.isfinite(weight).all():
                raise UsageError(f"weight {matrix.weight.name} holds NaN or infinity")
            yield matrix, quantize(weight, form) if hessian is None else gptq(weight, hessian.total, form)
            done += 1


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


def _collected(
    model: ir.Model, group: list[Matrix], feeds: Iterator[Mapping[str, NDArray[Any]]], scratch: Path
) -> dict[str, Hessian]:
    graph = model.graph
    watchable = {value.name for value in (*graph.inputs, *(value for node in graph for value in node.outputs))}
    sizes = {_input(matrix): matrix.shape[0] for matrix in group}
    hessians = {name: Hessian(size) for name, size in sizes.items() if name in watchable}
    scratch.mkdir(parents=True)
    watched = watch(model, {name: [hessian] for name, hessian in hessians.items()}, feeds, scratch)
    shutil.rmtree(scratch)
    return {name: hessian for name, hessian in hessians.items() if name in watched}


def _reported(data: Path, interface: Interface, work: Work, done: float) -> Iterator[Mapping[str, NDArray[Any]]]:
    for feed, fraction in calibration_feeds(data, interface):
        yield feed
        work.progress(0.85 * done, f"watching inputs: {fraction:.0%} of the data")


def _input(matrix: Matrix) -> str:
    value = matrix.node.inputs[0]
    return (value.name or "") if value is not None else ""
