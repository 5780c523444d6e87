"""How the `quantize-weights` pass works: one matrix at a time, so that a mapped model is never held whole."""

from __future__ import annotations

import gc
import math
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from optkit.core import interface as interfaces
from optkit.core.errors import StepFailed, UsageError
from optkit.graph.matrices import find_matrices, last_products
from optkit.graph.save import release, weight_bytes
from optkit.graph.shapes import name_nodes
from optkit.graph.upgrade import upgrade
from optkit.passes.onnx_step import move_artifact, read_model, write_model
from optkit.passes.quality import layer_quality, output_quality
from optkit.quant.blocks import Form, quantize
from optkit.quant.embeddings import find_embeddings
from optkit.quant.weight_only import BLOCKED_OPSET, CONTRIB, write_dequantized, write_embedding, write_matmulnbits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.core.passes import Work
    from optkit.graph.matrices import Matrix
    from optkit.passes.quantize_weights import QuantizeWeights
    from optkit.quant.blocks import Blocks


def quantize_weights(do: QuantizeWeights, inputs: Mapping[str, Path], work: Work) -> None:
    """Does what `QuantizeWeights.run` promises, with the options of `do`."""
    _check_options(do)
    out = work.scratch / "quantized"
    _write(do, inputs, work, out)
    gc.collect()  # cycles hold the graph, whose new weights must not stay in memory beside the sessions
    work.progress(0.9, "checking")
    interface = interfaces.read(out)
    work.notes["quality"] = output_quality(inputs, out, interface, f"{do.bits}-bit weights")
    work.notes["layers"] = layer_quality(inputs, out, interface, work.scratch / "layers")
    move_artifact(out, work.out)


def _write(do: QuantizeWeights, inputs: Mapping[str, Path], work: Work, out: Path) -> None:
    """Writes the quantized artifact to `out` and notes what became of each weight."""
    model, interface = read_model(inputs["model"])
    _prepare(model, do)
    matrices, left = _chosen(model, do)
    if not matrices:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(left.items())[:3])
        raise StepFailed(
            f"no weight to quantize: {reasons or 'the graph has no product with a constant matrix'}",
            hint="leave the step out, or choose a smaller block",
        )
    before = weight_bytes(model)
    notes = [
        _written(do, matrix, blocks)
        for matrix, blocks in _quantized(do, model, matrices, inputs, interface, work)
    ]  # fmt: skip
    if do.embeddings:
        notes += _embeddings(model, do)
    _drop_unused(model)
    work.notes |= {"weights": notes, "left": left, "weight_bytes": [before, weight_bytes(model)]}
    write_model(model, interface, out)


def _check_options(do: QuantizeWeights) -> None:
    target = do.target or ""
    if target.startswith("tensorrt") and (not do.symmetric or do.form != "qdq"):
        raise UsageError(f"{target} takes symmetric Q/DQ weights only", hint="set symmetric: true and form: qdq")
    if do.form == "qdq" and (do.embeddings or do.int8_products):
        raise UsageError("embeddings and int8_products need ONNX Runtime's operators", hint="set form: matmulnbits")


def _prepare(model: ir.Model, do: QuantizeWeights) -> None:
    import onnx_ir.passes.common as passes

    passes.InlinePass()(model)
    passes.RemoveInitializersFromInputsPass()(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=False, size_limit=1)(model)
    name_nodes(model)
    if do.form == "qdq":
        upgrade(model, BLOCKED_OPSET)
    else:
        model.opset_imports.setdefault(CONTRIB, 1)


def _chosen(model: ir.Model, do: QuantizeWeights) -> tuple[list[Matrix], dict[str, str]]:
    """Returns the products to quantize, and node name → why not for the others."""
    found, left = find_matrices(model)
    last = set() if do.last_layer else last_products(model, found)
    readers = {matrix.weight: 0 for matrix in found}
    for matrix in found:
        readers[matrix.weight] += 1
    chosen: list[Matrix] = []
    for matrix in found:
        reason = _reason(matrix, do, is_last=matrix.node in last, readers=readers[matrix.weight])
        if reason:
            left[matrix.node.name or ""] = reason
        else:
            chosen.append(matrix)
    return chosen, left


def _reason(matrix: Matrix, do: QuantizeWeights, *, is_last: bool, readers: int) -> str:
    name = matrix.node.name or ""
    pattern = next((pattern for pattern in do.keep if fnmatchcase(name, pattern)), None)
    if pattern is not None:
        return f"kept by {pattern!r}"
    if is_last:
        return "it is a last layer"
    if matrix.shape[0] < do.block:
        return f"it sums over {matrix.shape[0]} weights, fewer than a block of {do.block}"
    operand = matrix.node.inputs[1]
    if len(matrix.weight.uses()) > readers or (
        operand is not matrix.weight and operand is not None and len(operand.uses()) > 1
    ):
        return "its weight is read by another operator, too, and would be stored twice"
    return ""


def _quantized(  # noqa: PLR0913, PLR0917  # the step's own
    do: QuantizeWeights, model: ir.Model, matrices: list[Matrix], inputs: Mapping[str, Path], interface: Interface,
    work: Work,
) -> Iterator[tuple[Matrix, Blocks]]:  # fmt: skip
    if do.method == "gptq":
        from optkit.passes.correcting import corrected

        yield from corrected(model, matrices, _form(do), inputs["calibration"], interface, work)
        return
    for index, matrix in enumerate(matrices):
        yield matrix, quantize(_finite(matrix.read(), matrix.weight.name), _form(do))
        work.progress(0.85 * (index + 1) / len(matrices), f"{index + 1} of {len(matrices)} matrices")


def _form(do: QuantizeWeights) -> Form:
    return Form(do.bits, do.block, do.symmetric)


def _finite(weight: NDArray[Any], name: str | None) -> NDArray[Any]:
    import numpy as np

    if not np.isfinite(weight).all():
        raise UsageError(f"weight {name} holds NaN or infinity", hint="the file is damaged, or training diverged")
    return weight


def _written(do: QuantizeWeights, matrix: Matrix, blocks: Blocks) -> dict[str, object]:
    """Writes a product's weight; returns what to note of it."""
    note = _note(matrix.node.name, matrix.weight.name, matrix.read(), blocks)
    if do.form == "qdq":
        write_dequantized(matrix, blocks)
    else:
        write_matmulnbits(matrix, blocks, int8_products=bool(do.int8_products))
    release([matrix.weight.const_value])
    return note


def _note(node: str | None, weight: str | None, values: NDArray[Any], blocks: Blocks) -> dict[str, object]:
    return {"node": node, "weight": weight, "shape": list(values.shape), "sqnr_db": sqnr_db(values, blocks)}


def sqnr_db(values: NDArray[Any], blocks: Blocks) -> float | None:
    """Returns the signal-to-noise ratio of a quantized weight in dB; None if it is exact."""
    import numpy as np

    from optkit.quant.blocks import dequantize

    gap = dequantize(blocks)
    gap -= values
    signal, noise = (float(np.vdot(array, array)) for array in (np.ascontiguousarray(values), gap))
    return 10 * math.log10(signal / noise) if signal and noise else None


def _embeddings(model: ir.Model, do: QuantizeWeights) -> list[dict[str, object]]:
    notes = []
    for node, table in find_embeddings(model, do.block):
        values = _finite(table, node.inputs[0].name if node.inputs[0] else "").T
        blocks = quantize(values, _form(do))
        notes.append(_note(node.name, node.inputs[0].name if node.inputs[0] else "", values, blocks))
        write_embedding(node, blocks)
    return notes


def _drop_unused(model: ir.Model) -> None:
    import onnx_ir.passes.common as passes

    passes.RemoveUnusedNodesPass()(model)
