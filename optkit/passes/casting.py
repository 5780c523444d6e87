"""How the `cast` pass works: see how large values get, plan, rewrite, and check against float32."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed, UsageError
from optkit.core.passes import DEFAULT_TARGET
from optkit.graph.cast_half import cast_half
from optkit.graph.half_emulation import emulated
from optkit.graph.half_plan import Rules, plan_half
from optkit.graph.load import load_model
from optkit.graph.save import MODEL_FILE, save_model, weight_bytes
from optkit.graph.session import open_graph
from optkit.graph.shapes import name_nodes, refresh_shapes
from optkit.graph.upgrade import upgrade
from optkit.graph.walk import operator_count
from optkit.measure.feeding import made_up_inputs
from optkit.measure.parity import check_parity
from optkit.passes.calibration import calibration_feeds, first
from optkit.passes.cast import TOLERANCES
from optkit.passes.onnx_step import move_artifact, open_runtime, parity_note, read_model, write_model
from optkit.passes.quality import one_feed
from optkit.quant.observe import watch
from optkit.runtimes.onnxruntime_cpu import OnnxRuntimeSession

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.core.passes import Work
    from optkit.graph.half_plan import HalfPlan
    from optkit.passes.cast import Cast

_SAMPLES = 64
"""Batches of calibration data that are looked at: a magnitude needs fewer than a histogram."""
_SHOWN = 20
_BFLOAT16_OPSET = 22


@dataclass(slots=True)
class _Peak:
    """The largest magnitude of a tensor."""

    value: float = 0.0

    def add(self, values: NDArray[Any]) -> None:
        """Adds floats of any shape; NaN and infinity are the model's own business."""
        import numpy as np

        finite = np.abs(values[np.isfinite(values)])
        self.value = max(self.value, float(finite.max(initial=0.0)))


def cast(do: Cast, inputs: Mapping[str, Path], work: Work) -> None:
    """Does what `Cast.run` promises, with the options of `do`."""
    _check_options(do)
    model, interface = read_model(inputs["model"])
    before = weight_bytes(model)
    _prepare(model, do)
    work.progress(0.1, "looking at the range of values")
    peaks = _peaks(model, interface, inputs, work.scratch / "watched")
    rules = Rules(do.to, frozenset(do.float_operators), do.keep, peaks)
    plan = plan_half(model, rules, half_inputs=not do.keep_io)
    if not plan.slots:
        raise StepFailed(f"no node can run in {do.to}", hint="leave the cast step out, or shorten `keep`")
    work.notes["cast"] = _plan_note(plan)
    cast_half(model, plan, do.to, keep_io=do.keep_io)
    work.notes["cast"]["weight_bytes"] = [before, weight_bytes(model)]
    out = work.scratch / "cast"
    write_model(model, interface if do.keep_io else _halved(interface), out)
    work.progress(0.5, "comparing with float32")
    work.notes["cast"]["parity"] = _checked(do, inputs, out, interface, work)
    _note_runtime(do, out, work)
    move_artifact(out, work.out)


def _check_options(do: Cast) -> None:
    if do.to == "bfloat16" and (do.target or DEFAULT_TARGET).startswith(DEFAULT_TARGET):
        raise UsageError(
            "ONNX Runtime has no bfloat16 kernels on CPUs", hint="set to: float16, or a target that has them (tensorrt)"
        )
    if do.to == "bfloat16" and not do.keep_io:
        raise UsageError("numpy has no bfloat16, so that inputs and outputs cannot be", hint="set keep_io: true")


def _prepare(model: ir.Model, do: Cast) -> None:
    """Inlines functions, sorts and types the graph; convolutions know bfloat16 from operator set 22 on."""
    import onnx_ir.passes.common as passes

    if do.to == "bfloat16":
        upgrade(model, _BFLOAT16_OPSET)
    passes.InlinePass()(model)
    passes.RemoveInitializersFromInputsPass()(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=1)(model)
    passes.TopologicalSortPass()(model)
    name_nodes(model)
    refresh_shapes(model)


def _peaks(model: ir.Model, interface: Interface, inputs: Mapping[str, Path], scratch: Path) -> dict[str, float]:
    """Returns tensor → largest magnitude, and types the values that shape inference does not know."""
    import onnx_ir as ir

    values = {value.name or "": value for node in model.graph for value in node.outputs if value.name}
    unknown = {name: value for name, value in values.items() if value.dtype in {None, ir.DataType.FLOAT}}
    peaks = {name: _Peak() for name in [*unknown, *(tensor.name for tensor in interface.inputs)]}
    scratch.mkdir(parents=True)
    floats = watch(model, {name: [peak] for name, peak in peaks.items()}, _feeds(interface, inputs), scratch)
    for name in floats & unknown.keys():
        unknown[name].type = ir.TensorType(ir.DataType.FLOAT)
    return {name: peaks[name].value for name in floats}


def _feeds(interface: Interface, inputs: Mapping[str, Path]) -> Iterator[Mapping[str, NDArray[Any]]]:
    yield made_up_inputs(interface, interface.sizes("opt"), seed=0)
    if "calibration" in inputs:
        yield from first((feed for feed, _ in calibration_feeds(inputs["calibration"], interface)), _SAMPLES)


def _plan_note(plan: HalfPlan) -> dict[str, Any]:
    """Returns the numbers of nodes, and the reasons of those that stay, the first ones by name."""
    reasons = Counter(plan.kept.values())
    return {
        "half_nodes": len(plan.slots),
        "float_nodes": len(plan.kept),
        "reasons": dict(reasons.most_common()),
        "kept": {node.name or "": reason for node, reason in list(plan.kept.items())[:_SHOWN]},
    }


def _halved(interface: Interface) -> Interface:
    def half(tensors: Any) -> Any:  # noqa: ANN401  # inputs or outputs
        return tuple(replace(tensor, dtype="float16") if tensor.dtype == "float32" else tensor for tensor in tensors)

    return replace(interface, inputs=half(interface.inputs), outputs=half(interface.outputs))


def _checked(do: Cast, inputs: Mapping[str, Path], out: Path, interface: Interface, work: Work) -> dict[str, object]:
    """Returns what to note of the parity with float32, each result rounded as the target would.

    Raises:
        StepFailed: An output is further off than the tolerance.
    """
    folder = work.scratch / "emulated"
    folder.mkdir(parents=True)
    session = open_graph(save_model(emulated(load_model(out / MODEL_FILE)), folder), optimize=False)
    tolerance = TOLERANCES[do.to] if do.tolerance is None else do.tolerance
    samples = [one_feed(inputs, interface)] if "calibration" in inputs else []
    reference, candidate = open_runtime("onnxruntime", inputs["model"]), OnnxRuntimeSession.of(session)
    try:
        report = check_parity(reference, candidate, interface, tolerance, samples)
    except StepFailed as error:
        raise StepFailed(
            f"{do.to} loses too much: {error.message}",
            hint="keep the nodes in front of that output (`keep`), or raise `tolerance` and let a gate judge",
        ) from error
    return parity_note(report)


def _note_runtime(do: Cast, out: Path, work: Work) -> None:
    """Checks the graph, opens it where this machine can, and says what ONNX Runtime makes of it on a CPU.

    Raises:
        StepFailed: The graph is not valid.
    """
    _check_types(out / MODEL_FILE)
    if do.to == "bfloat16":
        return
    optimized = work.scratch / "optimized.onnx"
    open_graph(out / MODEL_FILE, save_optimized=optimized)
    if not (do.target or DEFAULT_TARGET).startswith(DEFAULT_TARGET):
        return
    ran = load_model(optimized)
    casts = sum(node.op_type == "Cast" for node in ran.graph.all_nodes())
    work.notes["cast"]["onnxruntime"] = {
        "nodes": operator_count(ran),
        "casts": casts,
        "advice": "ONNX Runtime has few float16 kernels on CPUs: most nodes run in float32 between casts, so that the "
        "file is smaller but the model hardly faster",
    }


def _check_types(path: Path) -> None:
    """Checks order and types by ONNX's own rules: no runtime here takes bfloat16."""
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise StepFailed(f"the cast graph is not valid: {str(error).strip().splitlines()[0]}") from error
