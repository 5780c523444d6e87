"""What an engine executes, as its library's inspector tells. Nobody has seen that on a GPU yet.

Source: "Engine Inspector" in the documentation of TensorRT, whose JSON this reads; engines are built with detailed
profiling verbosity for it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPES = {
    "float": "float32", "fp32": "float32", "half": "float16", "fp16": "float16", "bfloat16": "bfloat16",
    "bf16": "bfloat16", "fp8": "float8", "fp4": "float4", "int4": "int4", "int8": "int8", "uint8": "uint8",
    "int32": "int32", "int64": "int64", "bool": "bool",
}  # fmt: skip
"""Words in descriptions such as `Channel major FP16 format where channel % 8 == 0` → our names of types."""
_TYPE = re.compile(rf"\b({'|'.join(_TYPES)})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Kernel:
    """One thing that an engine executes: what the builder made of one layer or of several.

    Attributes:
        name: Names of the layers.
        kind: As the library names it, such as CaskGemmConvolution or Reformat; empty if it does not tell.
        takes: Type of its first input; empty if the library does not tell.
        gives: Type of its first output, likewise.
        tactic: The implementation that the builder chose.
    """

    name: str
    kind: str = ""
    takes: str = ""
    gives: str = ""
    tactic: str = ""


def kernels(trt: Any, engine: Any, context: Any = None) -> list[Kernel]:  # noqa: ANN401  # an extra: its types are not checked
    """Returns what `engine` executes, in its order.

    Args:
        trt: The library's module.
        engine: Deserialized.
        context: With shapes set; some types are known only with them.
    """
    inspector = engine.create_engine_inspector()
    if context is not None:
        inspector.execution_context = context
    return kernels_in(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def kernels_in(document: str) -> list[Kernel]:
    """Returns the layers of an inspector's JSON; of an engine that was built without details, names alone."""
    layers = json.loads(document).get("Layers", []) if document else []
    return [Kernel(each) if isinstance(each, str) else _kernel(each) for each in layers]


def _kernel(layer: Mapping[str, Any]) -> Kernel:
    return Kernel(
        name=layer.get("Name", ""),
        kind=layer.get("LayerType", ""),
        takes=_first_type(layer.get("Inputs")),
        gives=_first_type(layer.get("Outputs")),
        tactic=layer.get("TacticName") or layer.get("TacticValue", ""),
    )


def _first_type(tensors: object) -> str:
    first = tensors[0] if isinstance(tensors, list) and tensors else {}
    found = _TYPE.search(str(first.get("Format/Datatype", ""))) if isinstance(first, dict) else None
    return _TYPES[found[1].lower()] if found else ""
