"""Passes: coarse file-to-file steps. This table is the only place that knows their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.lazy import LazyTable

if TYPE_CHECKING:
    from optkit.core.passes import Pass

PASSES: LazyTable[type[Pass]] = LazyTable(
    {
        "import": "optkit.passes.import_onnx:ImportOnnx",
        "export": "optkit.passes.export:Export",
        "simplify": "optkit.passes.simplify:Simplify",
        "fuse": "optkit.passes.fuse:Fuse",
        "quantize": "optkit.passes.quantize:Quantize",
        "quantize-inc": "optkit.passes.quantize_inc:QuantizeInc",
        "quantize-weights": "optkit.passes.quantize_weights:QuantizeWeights",
        "cast": "optkit.passes.cast:Cast",
        "tune": "optkit.passes.tune:Tune",
        "build-engine": "optkit.passes.build_engine:BuildEngine",
    }
)
