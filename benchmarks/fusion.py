"""How many attention blocks of a BERT of four layers are fused: from both exporters, in both spellings, and by whom.

    python benchmarks/fusion.py [EXPORTER STYLE FOLDER]

Each graph is made in a process of its own. ONNX Runtime's transformer optimizer and onnxscript's `optimize_for_ort` get
it as it was exported; optkit's `fuse` gets it before and after `simplify`, and counts only if parity holds.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from harness import write

LAYERS = 4
SIZES = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 512, "vocab_size": 1000}
EXPORTERS, STYLES = ("dynamo", "torchscript"), ("sdpa", "eager")
ATTENTION = ("Attention", "MultiHeadAttention")


def main() -> None:
    """Fuses all four graphs in all four ways; prints and writes the counts."""
    found: dict[str, dict[str, int]] = {}
    for exporter in EXPORTERS:
        for style in STYLES:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                subprocess.run([sys.executable, __file__, exporter, style, folder], check=True, capture_output=True)
                found[f"{exporter}, {style}"] = row = {
                    "onnxruntime.transformers": by_ort(folder / "net.onnx"),
                    "onnxscript": by_onnxscript(folder / "net.onnx"),
                    **by_optkit(folder),
                }
            print(f"{exporter:12} {style:6} {row}", flush=True)
    write("fusion", {"attention blocks fused, of 4": found})


class Encoder(torch.nn.Module):
    """BERT as a function of two tensors."""

    def __init__(self, style: str) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        config = BertConfig(num_hidden_layers=LAYERS, **SIZES, attn_implementation=style)
        self.bert = BertModel(config, add_pooling_layer=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.06)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Returns the hidden states, [batch, tokens, hidden_size]."""
        result: torch.Tensor = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        return result


def export(exporter: str, style: str, folder: Path) -> None:
    """Writes `net.onnx`."""
    torch.manual_seed(0)
    inputs = (torch.randint(0, SIZES["vocab_size"], (3, 10)), torch.ones(3, 10, dtype=torch.int64))
    axes = {0: "batch", 1: "tokens"}
    options: dict[str, Any] = {"dynamic_axes": {"ids": axes, "mask": axes}, "dynamo": False}
    if exporter == "dynamo":
        dims = {0: torch.export.Dim("batch", min=1, max=8), 1: torch.export.Dim("tokens", min=2, max=64)}
        options = {"dynamic_shapes": (dims, dims), "dynamo": True, "external_data": False}
    with torch.no_grad():
        torch.onnx.export(Encoder(style).eval(), inputs, folder / "net.onnx", input_names=["ids", "mask"], **options)


def by_ort(path: Path) -> int:
    """ONNX Runtime's own optimizer, told the sizes."""
    from onnxruntime.transformers import optimizer

    logging.disable(logging.CRITICAL)
    heads, hidden = SIZES["num_attention_heads"], SIZES["hidden_size"]
    model = optimizer.optimize_model(str(path), "bert", num_heads=heads, hidden_size=hidden, opt_level=0)
    return sum(node.op_type in ATTENTION for node in model.model.graph.node)


def by_onnxscript(path: Path) -> int:
    """Its pipeline for ONNX Runtime."""
    import onnx_ir as ir
    from onnxscript.rewriter.ort_fusions import optimize_for_ort

    model, _ = optimize_for_ort(ir.load(path))
    return sum(node.op_type in ATTENTION for node in model.graph.all_nodes())


def by_optkit(folder: Path) -> dict[str, int]:
    """Import, then `fuse`, with and without `simplify` between them."""
    import json

    from optkit.core.passes import Work
    from optkit.passes.fuse import Fuse
    from optkit.passes.import_onnx import ImportOnnx
    from optkit.passes.simplify import Simplify

    def work(name: str) -> Work:
        made = Work(folder / name / "out", folder / name / "scratch")
        for part in (made.out, made.scratch):
            part.mkdir(parents=True)
        return made

    inputs = {
        "ids": {"dtype": "int64", "shape": ["batch", "tokens"], "range": [0, SIZES["vocab_size"] - 1]},
        "mask": {"dtype": "int64", "shape": ["batch", "tokens"], "range": [0, 1]},
    }
    dims = {"batch": {"min": 1, "opt": 2, "max": 8}, "tokens": {"min": 2, "opt": 16, "max": 64}}
    (folder / "model.json").write_text(json.dumps({"file": "net.onnx", "inputs": inputs, "dims": dims}))
    imported, simple, raw, fused = (work(name) for name in ("imported", "simple", "raw", "fused"))
    ImportOnnx().run({"model": folder}, imported)
    Simplify().run({"model": imported.out}, simple)
    counts = {}
    for title, source, target in (("optkit", imported, raw), ("optkit, simplified before", simple, fused)):
        Fuse(target="onnxruntime-cpu").run({"model": source.out}, target)
        counts[title] = int(target.notes["fuse"]["matched"].get("MultiHeadAttention", 0))
    return counts


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if len(sys.argv) > 1:
        export(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    else:
        main()
