"""Our own passes by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.passes.build_engine import BuildEngine
from optkit.passes.cast import Cast
from optkit.passes.export import Export
from optkit.passes.fuse import Fuse
from optkit.passes.import_onnx import ImportOnnx
from optkit.passes.quantize import Quantize
from optkit.passes.quantize_inc import QuantizeInc
from optkit.passes.quantize_weights import QuantizeWeights
from optkit.passes.simplify import Simplify
from optkit.passes.tune import Tune

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optkit.core.passes import Pass

PASSES: Mapping[str, type[Pass]] = {
    "import": ImportOnnx,
    "export": Export,
    "simplify": Simplify,
    "fuse": Fuse,
    "quantize": Quantize,
    "quantize-inc": QuantizeInc,
    "quantize-weights": QuantizeWeights,
    "cast": Cast,
    "tune": Tune,
    "build-engine": BuildEngine,
}
