"""Writes int8 versions of one graph that differ in which layers stay float."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from optkit.graph.clean import FLOAT_BY, RANGE_BY
from optkit.graph.gemm import split_gemm
from optkit.passes.calibration import calibration_feeds
from optkit.passes.ranging import best_ranges
from optkit.passes.selecting import Selection, selection
from optkit.passes.unbiasing import unbiased
from optkit.quant.bias_correction import correct_biases
from optkit.quant.dynamic import dynamic_layers, write_dynamic
from optkit.quant.engine import write_static
from optkit.quant.parameters import find_tables
from optkit.quant.placement import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.core.passes import Work
    from optkit.passes.observing import Seen
    from optkit.passes.output_error import OutputError
    from optkit.passes.quantize import Quantize
    from optkit.quant.engine import Format
    from optkit.quant.profiles import Profile

    Feed = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Data:
    """Calibration data: all of it, or half of it where the other half serves to search on.

    Attributes:
        inputs: Role → dataset.
        interface: Of the model.
        searches: Whether something is searched for by the outputs.
    """

    inputs: Mapping[str, Path]
    interface: Interface
    searches: bool

    def parts(self) -> Iterator[tuple[Feed, float]]:
        """Yields the model's inputs, and the fraction of the data that is then used."""
        halved = self.searches and "search" not in self.inputs
        return calibration_feeds(self.inputs["calibration"], self.interface, halved=halved)

    def feeds(self) -> Iterator[Feed]:
        """Yields the model's inputs."""
        return (feed for feed, _ in self.parts())


class Writer(Protocol):
    """Writes a graph in int8."""

    @property
    def model(self) -> ir.Model:
        """The float graph, which computes what the step's input does."""
        ...

    def layers(self) -> list[ir.Node]:
        """Returns the nodes of `model` with weights that can run in int8, in graph order."""
        ...

    def nodes(self, floats: frozenset[str]) -> list[ir.Node]:
        """Returns all nodes of `model` that run in int8 if the named layers stay float."""
        ...

    def write(self, floats: frozenset[str]) -> ir.Model:
        """Returns the int8 graph in which the named layers stay float."""
        ...

    def draft(self, floats: frozenset[str]) -> ir.Model:
        """As `write`, without corrections that depend on more than the named layers."""
        ...

    def noise(self, floats: frozenset[str], errors: OutputError) -> float:
        """Returns the outputs' error if the named layers stay float."""
        ...

    def tuned(self, floats: frozenset[str], errors: OutputError) -> Writer:
        """Returns the writer with the numbers that are best if the named layers stay float."""
        ...


@dataclass(frozen=True, slots=True)
class DynamicWriter:
    """Writes graphs whose activations are quantized at run time."""

    do: Quantize
    model: ir.Model
    form: Format
    work: Work

    def __post_init__(self) -> None:
        split_gemm(self.model)

    def layers(self) -> list[ir.Node]:
        """Returns the products, LSTMs and lookups that can run in int8."""
        return _apart([*dynamic_layers(self.model), *_lookups(self.model)], selection(self.do))

    def nodes(self, floats: frozenset[str]) -> list[ir.Node]:
        """Returns the layers but for those in `floats`: nothing else runs in int8."""
        return [node for node in self.layers() if node.name not in floats]

    def write(self, floats: frozenset[str]) -> ir.Model:
        """Returns the int8 graph."""
        return write_dynamic(self.model, self.form, selection(self.do, floats))

    draft = write

    def noise(self, floats: frozenset[str], errors: OutputError) -> float:
        """Returns the outputs' error."""
        return errors.of_model(self.write(floats))

    def tuned(self, floats: frozenset[str], errors: OutputError) -> DynamicWriter:
        """Returns the writer as it is: its numbers are made at run time."""
        del floats, errors
        return self


@dataclass(frozen=True, slots=True)
class StaticWriter:
    """Writes graphs whose activations are scaled to what calibration saw.

    Attributes:
        do: The options.
        model: The float graph, prepared.
        profile: Of the target.
        form: How weights become int8.
        seen: What calibration saw.
        feeds: Opens the calibration data.
        work: Of the step.
        ranges: Tensor → low, high.
        methods: Tensor → how its range was chosen.
    """

    do: Quantize
    model: ir.Model
    profile: Profile
    form: Format
    seen: Seen
    feeds: Callable[[], Iterator[Feed]]
    work: Work
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)

    def layers(self) -> list[ir.Node]:
        """Returns the nodes with weights that can run in int8."""
        placed = [node for node in self.nodes(frozenset()) if node.op_type in self.profile.weighted]
        tables = _lookups(self.model) if self.profile.quantize_tables else []
        return [*placed, *_apart(tables, selection(self.do))]

    def nodes(self, floats: frozenset[str]) -> list[ir.Node]:
        """Returns the nodes that run in int8 between Q/DQ pairs."""
        return place(self.model, self.profile, selection(self.do, floats))

    def write(self, floats: frozenset[str]) -> ir.Model:
        """Returns the int8 graph, with corrected biases if that brings the outputs closer."""
        if not self.do.bias_correction:
            return self.draft(floats)
        chosen = selection(self.do, floats)

        def correct(graph: ir.Model) -> list[str]:
            names = {node.name or "" for node in place(graph, self.profile, chosen)}
            return correct_biases(graph, names, self.seen.means(), self.form)

        return unbiased(self.model, correct, lambda graph: self._written(graph, chosen), self.feeds, self.work)

    def draft(self, floats: frozenset[str]) -> ir.Model:
        """Returns the int8 graph with biases as they were."""
        return self._written(self.model, selection(self.do, floats))

    def noise(self, floats: frozenset[str], errors: OutputError) -> float:
        """Returns the outputs' error; with `ranges: auto`, that of the best method for all tensors."""
        if self.do.ranges == "auto":
            return best_ranges(self, floats, errors, most=0).error
        return errors.of_model(self.draft(floats))

    def tuned(self, floats: frozenset[str], errors: OutputError) -> StaticWriter:
        """Returns the writer with the best range for each tensor, with `ranges: auto`."""
        if self.do.ranges != "auto":
            return self
        chosen = best_ranges(self, floats, errors)
        error = chosen.error if math.isfinite(chosen.error) else None  # JSON has no infinity
        self.work.notes["auto_ranges"] = {"error": error, "runs": chosen.runs}
        return replace(self, ranges=chosen.ranges, methods=chosen.methods)

    def _written(self, graph: ir.Model, chosen: Selection) -> ir.Model:
        nodes = place(graph, self.profile, chosen)
        return write_static(graph, nodes, self.ranges, self.profile, self.form, chosen)


def mark(model: ir.Model, chosen: Selection, writer: Writer) -> None:
    """Notes in the graph itself who keeps a node in float, and how the range of a tensor was chosen."""
    methods = writer.methods if isinstance(writer, StaticWriter) else {}
    for node in model.graph.all_nodes():
        reason = chosen.reason(node)
        if reason:
            node.metadata_props[FLOAT_BY] = reason
        source = node.inputs[0] if node.op_type == "QuantizeLinear" else None
        if source is not None and source.name in methods:
            node.metadata_props[RANGE_BY] = methods[source.name]


def _lookups(model: ir.Model) -> list[ir.Node]:
    """Returns one node per embedding: all that look it up change together."""
    return [lookups[0] for lookups in find_tables(model)]


def _apart(nodes: list[ir.Node], chosen: Selection) -> list[ir.Node]:
    return [node for node in nodes if not chosen(node)]
