"""Real architectures with random weights that do not degenerate.

`python architecture_models.py NAME FOLDER` writes one: a recipe and what it names, which is a Hugging Face folder, or
`networks.py` with its weights.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from networks import Recurrent, UNet
from safetensors.torch import save_file
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

SEED = 0
TEXT = {"batch": {"min": 1, "opt": 2, "max": 4}, "sequence": {"min": 1, "opt": 32, "max": 128}}
WITH_PAST = {**TEXT, "past": {"min": 1, "opt": 32, "max": 128}}
IMAGE = {"batch": {"min": 1, "opt": 2, "max": 8}}
LLAMA = {
    "hidden_size": 1536, "intermediate_size": 4736, "num_hidden_layers": 18, "num_attention_heads": 12,
    "vocab_size": 32_000, "max_position_embeddings": 2048,
}  # fmt: skip


@dataclass(frozen=True)
class HuggingFace:
    """A model of transformers.

    Attributes:
        config: Name of its configuration's class.
        model: Name of the model's class.
        task: As recipes spell it.
        dims: Of the recipe.
        sizes: Where they differ from the configuration's defaults.
    """

    config: str
    model: str
    task: str
    dims: Mapping[str, Any]
    sizes: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> dict[str, Any]:
        """Writes the folder, and returns the recipe's model."""
        import transformers

        transformers.utils.logging.set_verbosity_error()
        torch.manual_seed(SEED)
        model = getattr(transformers, self.model)(getattr(transformers, self.config)(**self.sizes))
        settle(model)
        model.save_pretrained(folder / "model", max_shard_size="1GB")
        return {"huggingface": "model", "task": self.task, "dims": dict(self.dims)}


@dataclass(frozen=True)
class Network:
    """A model of `networks.py`.

    Attributes:
        module: It.
        factory: Name of its class, and the arguments.
        interface: Of the recipe: inputs, outputs and dims.
    """

    module: nn.Module
    factory: tuple[str, Mapping[str, Any]]
    interface: Mapping[str, Any]

    def write(self, folder: Path) -> dict[str, Any]:
        """Writes code and weights, and returns the recipe's model."""
        settle(self.module)
        shutil.copy(Path(__file__).with_name("networks.py"), folder)
        save_file(self.module.state_dict(), folder / "weights.safetensors")
        name, arguments = self.factory
        # The store may lie in the same folder, and what it holds is no code of the model.
        code = {"factory": f"networks.py:{name}", "code": ["networks.py"]}
        source = {**code, "arguments": dict(arguments), "weights": "weights.safetensors"}
        return {**source, **self.interface}


def settle(model: nn.Module) -> None:
    """Gives a model weights that keep the scale of what passes through, so that no output is close to 0."""
    torch.manual_seed(SEED)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, (parameter.numel() / len(parameter)) ** -0.5)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
        for norm in (each for each in model.modules() if isinstance(each, nn.BatchNorm2d)):
            norm.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]  # it tracks them
            norm.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]  # likewise


def recurrent(kind: str) -> Network:
    """Returns two layers of a recurrence over 80 features."""
    ends = {
        "inputs": {"x": {"dtype": "float32", "shape": ["batch", "sequence", 80]}},
        "outputs": ["logits", "states"],
        "dims": TEXT,
    }
    return Network(Recurrent(kind), ("Recurrent", {"kind": kind}), ends)


def unet() -> Network:
    """Returns a UNet for images whose sides are multiples of 8."""
    side = {"min": 32, "opt": 64, "max": 128}
    ends = {
        "inputs": {"image": {"dtype": "float32", "shape": ["batch", 3, "height", "width"]}},
        "outputs": ["mask"],
        "dims": {**IMAGE, "height": side, "width": side},
    }
    return Network(UNet(), ("UNet", {}), ends)


def _images(name: str, **sizes: object) -> HuggingFace:
    return HuggingFace(f"{name}Config", f"{name}ForImageClassification", "image-classification", IMAGE, sizes)


def _texts(name: str, head: str, task: str, **sizes: object) -> HuggingFace:
    return HuggingFace(f"{name}Config", f"{name}{head}", task, WITH_PAST if task.endswith("past") else TEXT, sizes)


def _halves(name: str, task: str) -> HuggingFace:
    dims = {"batch": TEXT["batch"]} if (name, task) == ("Whisper", "seq2seq-encoder") else TEXT
    return HuggingFace(f"{name}Config", f"{name}ForConditionalGeneration", task, dims)


ARCHITECTURES: Mapping[str, HuggingFace | Network] = {
    "ResNet-50": _images("ResNet"),
    "ConvNeXt-T": _images("ConvNext"),
    "ViT-B/16": _images("ViT"),
    "Swin-T": _images("Swin"),
    "BERT-base": _texts("Bert", "ForSequenceClassification", "text-classification"),
    "DistilBERT": _texts("DistilBert", "ForTokenClassification", "token-classification"),
    "GPT-2": _texts("GPT2", "LMHeadModel", "causal-lm"),
    "GPT-2 with past": _texts("GPT2", "LMHeadModel", "causal-lm-with-past"),
    "Whisper encoder": _halves("Whisper", "seq2seq-encoder"),
    "Whisper decoder": _halves("Whisper", "seq2seq-decoder"),
    "T5 encoder": _halves("T5", "seq2seq-encoder"),
    "T5 decoder": _halves("T5", "seq2seq-decoder"),
    "LSTM": recurrent("LSTM"),
    "GRU": recurrent("GRU"),
    "UNet": unet(),
    "Llama, 0.66 B": _texts("Llama", "ForCausalLM", "causal-lm", **LLAMA),
    "Llama, 0.66 B, with past": _texts("Llama", "ForCausalLM", "causal-lm-with-past", **LLAMA),
}


def main() -> None:
    """Writes the architecture that the command line names."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    model = ARCHITECTURES[name].write(folder)
    # JSON is YAML.
    (folder / "recipe.yaml").write_text(
        json.dumps({"name": "model", "model": model, "steps": ["export", "simplify", "fuse"]})
    )


if __name__ == "__main__":
    main()
