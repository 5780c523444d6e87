"""The node cases of the onnx wheel: whatever loads is inspected, and shapes are those that their outputs have."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.core.errors import UsageError
from optkit.graph.inspect import inspect_graph
from optkit.graph.load import load_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVERY = 9


@pytest.fixture(scope="module")
def cases() -> list[Any]:
    """Returns every ninth case, and all with bodies."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, on the cases' own arithmetic
        found = [case for case in collect_testcases(None) if case.model is not None]
    bodies = ("if_", "loop", "scan", "sequence_map")
    return [case for index, case in enumerate(found) if index % EVERY == 0 or any(word in case.name for word in bodies)]


def loaded(cases: list[Any], folder: Path) -> Iterator[tuple[Any, ir.Model]]:
    """Yields the cases that are not refused, and their graphs."""
    for case in cases:
        (folder / "model.onnx").write_bytes(case.model.SerializeToString())
        try:
            model = load_model(folder / "model.onnx")
        except UsageError:
            continue
        yield case, model


@pytest.mark.heavy
def test_every_case_that_loads_is_inspected(cases: list[Any], tmp_path: Path) -> None:
    inspected = 0
    for case, model in loaded(cases, tmp_path):
        found = inspect_graph(model)
        assert found.nodes == sum(1 for _ in model.graph.all_nodes()) + sum(
            sum(1 for _ in function.all_nodes()) for function in model.functions.values()
        ), case.name
        inspected += 1
    assert inspected > 0.9 * len(cases)


@pytest.mark.heavy
def test_sizes_are_those_of_the_expected_outputs(cases: list[Any], tmp_path: Path) -> None:
    """Where all inputs have fixed sizes, an inferred output is as large as the one that the case expects."""
    compared = 0
    for case, model in loaded(cases, tmp_path):
        sizes = inspect_graph(model).cost.activations
        expected = case.data_sets[0][1] if case.data_sets else []
        for value, array in zip(model.graph.outputs, expected, strict=False):
            whole = (
                isinstance(array, np.ndarray) and isinstance(value.type, ir.TensorType) and array.dtype.kind in "fiub"
            )
            if whole and value.name in sizes and value.dtype is not None and value.dtype.itemsize >= 1:
                assert sizes[value.name] == array.nbytes, case.name
                compared += 1
    assert compared > 100
