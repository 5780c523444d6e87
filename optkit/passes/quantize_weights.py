"""The `quantize-weights` pass: 4- or 8-bit weights in blocks; activations stay float."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from optkit.core.passes import Host, Pass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work


@dataclass(frozen=True)
class QuantizeWeights(Pass):
    """Stores the matrices of a model in 4 or 8 bits; for models whose time goes into reading weights."""

    version: ClassVar[int] = 1
    roles: ClassVar[Mapping[str, frozenset[str]]] = {
        "model": frozenset({"onnx"}),
        "calibration": frozenset({"dataset"}),
    }
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx", "onnx_ir", "onnxscript", "numpy")

    bits: Literal[4, 8] = 8
    """Bits per weight."""
    block: Literal[32, 64, 128] = 32
    """Weights along the summed axis that share a scale."""
    method: Literal["rtn", "gptq"] = "rtn"
    """`rtn` rounds to nearest, with ranges of least squared error; `gptq` makes up for errors on calibration data."""
    symmetric: bool = True
    """Whether blocks have a scale only; else each has a zero point, too."""
    form: Literal["matmulnbits", "qdq"] | None = None
    """ONNX Runtime's MatMulNBits, or a blocked DequantizeLinear (operator set 21); by default what the target runs."""
    int8_products: bool | None = None
    """Whether MatMulNBits may round activations to int8, block by block; by default it does, for it has no other fast
    kernel on CPUs: 8-bit weights with float activations are several times slower than a float product."""
    embeddings: bool = False
    """Whether embedding tables are quantized, too (ONNX Runtime only)."""
    last_layer: bool = True
    """Whether the products are quantized that no other one follows."""
    keep: tuple[str, ...] = ()
    """Patterns of node names, such as `*/head/*`, whose weights stay float."""
    target: str | None = None
    """What the numbers are made for; the recipe's target if not given."""

    def resolve(self, target: str, host: Host) -> Self:
        """Fills in the target and the form that it runs."""
        del host
        name = self.target or target
        form = self.form or _form(name)
        products = form == "matmulnbits" if self.int8_products is None else self.int8_products
        return replace(self, target=name, form=form, int8_products=products)

    def active_roles(self) -> frozenset[str]:
        """Only GPTQ reads calibration data."""
        return frozenset(self.roles) if self.method == "gptq" else frozenset({"model"})

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes the graph; notes each weight's signal-to-noise ratio, what stays float and why, and how outputs moved.

        Raises:
            UsageError: The options do not fit the target, or the calibration data does not fit the model.
            StepFailed: No matrix can be quantized, or the outputs are not finite.
        """
        from optkit.passes.quantizing_weights import quantize_weights

        quantize_weights(self, inputs, work)


def _form(target: str) -> Literal["matmulnbits", "qdq"]:
    return "matmulnbits" if target.startswith("onnxruntime") else "qdq"
