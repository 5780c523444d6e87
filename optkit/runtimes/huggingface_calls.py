"""How a transformers model is called with plain tensors, and plain tensors are taken from what it returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError
from optkit.runtimes.huggingface_tasks import KEY_VALUE, MASK, PAST_MASK, accepted, layers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from optkit.core.recipe import Task

    Call = Callable[[Any, dict[str, Tensor]], Mapping[str, Any]]


def adapt(model: nn.Module, task: Task, inputs: Sequence[str], outputs: Sequence[str]) -> nn.Module:
    """Returns a module that takes `inputs` by position and returns the tensors called `outputs`.

    Raises:
        UsageError: The model takes no input of such a name.
    """
    import torch

    call = _CALLS.get(task, _call_plainly)
    if call is _call_plainly:
        _check_inputs(model, inputs)

    class Adapted(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
            result = call(self.model, dict(zip(inputs, tensors, strict=True)))
            return tuple(_field(result, name) for name in outputs)

    return Adapted()


def _check_inputs(model: nn.Module, inputs: Sequence[str]) -> None:
    takes = accepted(model)
    for name in inputs:
        if name not in takes:
            raise UsageError(
                f"{type(model).__name__} takes no input {name!r}", hint=f"it takes {', '.join(sorted(takes))}"
            )


def _call_plainly(model: Any, named: dict[str, Tensor]) -> Mapping[str, Any]:  # noqa: ANN401  # a PreTrainedModel
    fixed = {"use_cache": False} if "use_cache" in accepted(model) else {}
    return model(**named, **fixed, return_dict=True)  # type: ignore[no-any-return]  # a ModelOutput


def _call_with_past(model: Any, named: dict[str, Tensor]) -> Mapping[str, Any]:  # noqa: ANN401  # a PreTrainedModel
    import torch
    from transformers import DynamicCache

    pairs = [
        tuple(named.pop(f"past_key_values.{layer}.{part}") for part in KEY_VALUE)
        for layer in range(layers(model.config))
    ]
    if PAST_MASK in named:
        named[MASK] = torch.cat([named.pop(PAST_MASK), named[MASK]], dim=1)
    result = model(**named, past_key_values=DynamicCache(pairs), use_cache=True, return_dict=True)
    present = {
        f"present.{index}.{part}": tensor
        for index, layer in enumerate(result.past_key_values.layers)
        for part, tensor in zip(KEY_VALUE, (layer.keys, layer.values), strict=True)
    }
    return {"logits": result.logits, **present}


def _call_encoder(model: Any, named: dict[str, Tensor]) -> Mapping[str, Any]:  # noqa: ANN401  # a PreTrainedModel
    return _call_plainly(model.get_encoder(), named)


def _call_decoder(model: Any, named: dict[str, Tensor]) -> Mapping[str, Any]:  # noqa: ANN401  # a PreTrainedModel
    from transformers.modeling_outputs import BaseModelOutput

    states = BaseModelOutput(last_hidden_state=named.pop("encoder_hidden_states"))
    if "encoder_attention_mask" in named:
        named[MASK] = named.pop("encoder_attention_mask")
    return model(**named, encoder_outputs=states, use_cache=False, return_dict=True)  # type: ignore[no-any-return]  # a ModelOutput


_CALLS: Mapping[str, Call] = {
    "causal-lm-with-past": _call_with_past,
    "seq2seq-encoder": _call_encoder,
    "seq2seq-decoder": _call_decoder,
}


def _field(result: Mapping[str, Any], name: str) -> Tensor:
    value = result.get(name)
    if value is None:
        raise UsageError(f"the model returns no {name!r}", hint=f"it returns {', '.join(result)}")
    return value  # type: ignore[no-any-return]  # a tensor
