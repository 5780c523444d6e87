"""Models of transformers' architectures, two layers deep, as folders that `save_pretrained` writes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SIZES: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 100,
}  # fmt: skip
IDS = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0)


def bert(kind: str, **changes: object) -> Any:  # noqa: ANN401  # a PreTrainedModel
    import transformers

    return getattr(transformers, kind)(transformers.BertConfig(**SIZES | changes))


def roberta() -> Any:  # noqa: ANN401  # a PreTrainedModel
    import transformers

    config = transformers.RobertaConfig(**SIZES, max_position_embeddings=66, type_vocab_size=1)
    return transformers.RobertaForMaskedLM(config)


def gpt2() -> Any:  # noqa: ANN401  # a PreTrainedModel
    import transformers

    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": 100}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))


def llama() -> Any:  # noqa: ANN401  # a PreTrainedModel
    import transformers

    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES, num_key_value_heads=1))


def vit() -> Any:  # noqa: ANN401  # a PreTrainedModel
    import transformers

    config = transformers.ViTConfig(**SIZES, image_size=16, patch_size=8)
    return transformers.ViTForImageClassification(config)


def resnet() -> Any:  # noqa: ANN401  # a PreTrainedModel
    import transformers

    return transformers.ResNetModel(transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]))


def whisper() -> Any:  # noqa: ANN401  # a PreTrainedModel
    import transformers

    sides = {f"{side}_{what}": size for side in ("encoder", "decoder") for what, size in _SIDE.items()}
    lengths = {"max_source_positions": 15, "max_target_positions": 12, "num_mel_bins": 8}
    config = transformers.WhisperConfig(d_model=32, vocab_size=100, **sides, **lengths, **IDS)
    return transformers.WhisperForConditionalGeneration(config)


def t5() -> Any:  # noqa: ANN401  # a PreTrainedModel
    import transformers

    config = transformers.T5Config(d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, vocab_size=100, **IDS)
    return transformers.T5ForConditionalGeneration(config)


_SIDE = {"layers": 2, "attention_heads": 2, "ffn_dim": 64}
MODELS: Mapping[str, Callable[[], Any]] = {
    "bert": lambda: bert("BertForSequenceClassification"),
    "roberta": roberta,
    "gpt2": gpt2,
    "llama": llama,
    "vit": vit,
    "resnet": resnet,
    "whisper": whisper,
    "t5": t5,
}


def settle(model: torch.nn.Module) -> None:
    """Gives a model weights that keep the scale of what passes through, so that no output is close to 0."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, (parameter.numel() / len(parameter)) ** -0.5)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))


def save(model: Any, folder: Path, **options: object) -> Path:  # noqa: ANN401  # a PreTrainedModel
    """Writes the model, settled, to `folder` and returns that."""
    import transformers

    settle(model)
    transformers.utils.logging.disable_progress_bar()
    logging.disable(logging.WARNING)
    try:
        model.save_pretrained(folder, **options)
    finally:
        logging.disable(logging.NOTSET)
    return folder
