"""What each task asks of the model in a Hugging Face folder: its head, inputs, outputs and dynamic dimensions."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core.interface import BATCH, Dim, Interface, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

    from optkit.core.recipe import Task

SEQUENCE = "sequence"
PAST = "past"
ENCODER_SEQUENCE = "encoder_sequence"
SAMPLES = "samples"
MASK = "attention_mask"
PAST_MASK = "past_attention_mask"
"""Which cached positions count; the model itself takes one mask of both, whose length is no size of its own."""
KEY_VALUE = ("key", "value")
_LONGEST = 512
_IMAGE_SIZE = 224
_BINARY = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What a task means in transformers.

    Attributes:
        classes: Names of its auto classes; the first that knows the architecture builds the model.
        outputs: Fields of what the model returns.
    """

    classes: tuple[str, ...]
    outputs: tuple[str, ...] = ("logits",)


_SEQ2SEQ = ("AutoModelForSeq2SeqLM", "AutoModelForSpeechSeq2Seq")
TASKS: Mapping[Task, TaskSpec] = {
    "feature-extraction": TaskSpec(("AutoModel",), ("last_hidden_state",)),
    "text-classification": TaskSpec(("AutoModelForSequenceClassification",)),
    "token-classification": TaskSpec(("AutoModelForTokenClassification",)),
    "question-answering": TaskSpec(("AutoModelForQuestionAnswering",), ("start_logits", "end_logits")),
    "fill-mask": TaskSpec(("AutoModelForMaskedLM",)),
    "causal-lm": TaskSpec(("AutoModelForCausalLM",)),
    "causal-lm-with-past": TaskSpec(("AutoModelForCausalLM",)),
    "image-classification": TaskSpec(("AutoModelForImageClassification",)),
    "audio-classification": TaskSpec(("AutoModelForAudioClassification",)),
    "seq2seq-encoder": TaskSpec(_SEQ2SEQ, ("last_hidden_state",)),
    "seq2seq-decoder": TaskSpec(_SEQ2SEQ),
}


def derive(model: nn.Module, task: Task) -> Interface:
    """Returns what `model` takes and returns for `task`, as far as its configuration tells.

    Args:
        model: A transformers model; its weights may be on the meta device.
        task: What it is for. Without inputs of a kind that is known here, the interface has none.
    """
    config: Any = model.config
    if task == "seq2seq-encoder":
        inputs = _inputs(model.get_encoder(), config)  # type: ignore[operator]  # a method of transformers' models
    elif task == "seq2seq-decoder":
        inputs = _decoder_inputs(model, config)
    else:
        inputs = _inputs(model, config)
    outputs = TASKS[task].outputs
    if task == "causal-lm-with-past":
        inputs += _past_inputs(model, config)
        outputs += tuple(cache_names("present", layers(config)))
    used = dict.fromkeys(size for tensor in inputs for size in tensor.shape if isinstance(size, str))
    return Interface(
        tuple(inputs),
        tuple(Tensor(name, "unknown", (BATCH, "...")) for name in outputs),
        {name: _dim(name, model, task) for name in used},
    )


def cache_names(prefix: str, count: int) -> Iterator[str]:
    """Yields the names of the keys and values of `count` layers, in the order in which they are given."""
    for layer in range(count):
        for part in KEY_VALUE:
            yield f"{prefix}.{layer}.{part}"


def layers(config: Any) -> int:  # noqa: ANN401  # any PretrainedConfig
    """Returns the number of layers that cache keys and values."""
    return int(config.get_text_config(decoder=True).num_hidden_layers)


def accepted(module: nn.Module) -> frozenset[str]:
    """Returns the names of the parameters of the module's `forward`."""
    return frozenset(inspect.signature(module.forward).parameters)


def _inputs(model: nn.Module, config: Any) -> list[Tensor]:  # noqa: ANN401  # any PretrainedConfig
    main = str(model.main_input_name)
    kinds = {"input_ids": _text, "pixel_values": _image, "input_values": _wave, "input_features": _spectrogram}
    return kinds[main](model, config) if main in kinds else []


def _text(model: nn.Module, config: Any) -> list[Tensor]:  # noqa: ANN401  # any PretrainedConfig
    shape, takes = (BATCH, SEQUENCE), accepted(model)
    text = config.get_text_config()
    ranges = {"input_ids": (0.0, text.vocab_size - 1.0), MASK: _BINARY}
    types = getattr(text, "type_vocab_size", 0) or 0
    if types > 1:
        ranges["token_type_ids"] = (0.0, types - 1.0)
    return [Tensor(name, "int64", shape, bounds) for name, bounds in ranges.items() if name in takes]


def _image(model: nn.Module, config: Any) -> list[Tensor]:  # noqa: ANN401  # any PretrainedConfig
    del model
    size = getattr(config, "image_size", None) or _IMAGE_SIZE
    height, width = (size, size) if isinstance(size, int) else tuple(size)[-2:]
    return [Tensor("pixel_values", "float32", (BATCH, getattr(config, "num_channels", 3), height, width))]


def _wave(model: nn.Module, config: Any) -> list[Tensor]:  # noqa: ANN401  # any PretrainedConfig
    del model
    if hasattr(config, "conv_stride"):
        return [Tensor("input_values", "float32", (BATCH, SAMPLES))]
    if hasattr(config, "num_mel_bins") and hasattr(config, "max_length"):
        return [Tensor("input_values", "float32", (BATCH, config.max_length, config.num_mel_bins))]
    return []


def _spectrogram(model: nn.Module, config: Any) -> list[Tensor]:  # noqa: ANN401  # any PretrainedConfig
    del model
    if not (hasattr(config, "num_mel_bins") and hasattr(config, "max_source_positions")):
        return []
    # The first of two convolutions halves the frames.
    return [Tensor("input_features", "float32", (BATCH, config.num_mel_bins, 2 * config.max_source_positions))]


def _past_inputs(model: nn.Module, config: Any) -> list[Tensor]:  # noqa: ANN401  # any PretrainedConfig
    text = config.get_text_config(decoder=True)
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    tensors = [Tensor(PAST_MASK, "int64", (BATCH, PAST), _BINARY)]
    if "position_ids" in accepted(model):
        last = _positions(model) - 1
        tensors.append(Tensor("position_ids", "int64", (BATCH, SEQUENCE), (0.0, float(last))))
    shape = (BATCH, heads, PAST, width)
    return tensors + [Tensor(name, "float32", shape) for name in cache_names("past_key_values", layers(config))]


def _decoder_inputs(model: nn.Module, config: Any) -> list[Tensor]:  # noqa: ANN401  # any PretrainedConfig
    encoder: Any = model.get_encoder()  # type: ignore[operator]  # a method of transformers' models
    ids = Tensor("decoder_input_ids", "int64", (BATCH, SEQUENCE), (0.0, config.vocab_size - 1.0))
    if encoder.main_input_name == "input_ids":
        state = Tensor("encoder_hidden_states", "float32", (BATCH, ENCODER_SEQUENCE, config.hidden_size))
        return [ids, Tensor("encoder_attention_mask", "int64", (BATCH, ENCODER_SEQUENCE), _BINARY), state]
    frames = getattr(config, "max_source_positions", None) or ENCODER_SEQUENCE
    return [ids, Tensor("encoder_hidden_states", "float32", (BATCH, frames, config.hidden_size))]


def _dim(name: str, model: nn.Module, task: Task) -> Dim:
    """Returns sizes that fit the model; those of what generates text are smaller, as each token gives a vocabulary."""
    generates = task in {"causal-lm", "causal-lm-with-past", "seq2seq-decoder"}
    if name == BATCH:
        return Dim(1, 1, 4) if generates else Dim(1, 4, 16)
    if name == SAMPLES:
        return Dim(1600, 16_000, 64_000)
    longest = min(_positions(model), _LONGEST // 2 if generates else _LONGEST)
    # What is cached and what is new share the positions.
    longest = max(longest // 2, 1) if task == "causal-lm-with-past" else longest
    return Dim(1, min(128 if not generates or name == PAST else 16, longest), longest)


def _positions(model: nn.Module) -> int:
    """Returns how many positions a sequence has at most; some tables of positions begin with rows for padding."""
    config: Any = model.config
    text = config.get_text_config()
    found = (getattr(text, name, None) for name in ("max_position_embeddings", "max_target_positions"))
    size = next((int(size) for size in found if isinstance(size, int) and size > 0), _LONGEST)
    tables = (part for name, part in model.named_modules() if name.endswith("position_embeddings"))
    return size - max(((getattr(table, "padding_idx", None) or -1) + 1 for table in tables), default=0)
