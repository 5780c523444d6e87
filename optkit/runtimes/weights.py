"""Reading a state dict that nobody trusts, and loading it strictly."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

SAFETENSORS = ".safetensors"
_SHOWN = 10
_PORTION = 128 << 20
"""Bytes of weights that are copied into a module at once."""
# What DataParallel and torch.compile put before the names of the module that they wrap.
_WRAPPERS = {"module.": "module", "_orig_mod.": "_orig_mod"}
_REFUSED_GLOBAL = re.compile(r"GLOBAL (\S+)")


def load_weights(module: nn.Module, path: Path) -> None:
    """Loads the state dict in `path` (.safetensors, or .pt/.pth of tensors only) into `module`, strictly.

    A tensor that the module shares with one that is present may be absent, as safetensors stores shared memory once.

    Raises:
        UsageError: The file is missing, damaged, would run code, or its tensors are not the module's (they are named).
    """
    on_meta = any(tensor.is_meta for tensor in module.state_dict().values())  # no memory to copy into
    for names in _fitting_portions(module, path):
        # A map of its own for each: whatever was read through one counts as this process's memory until it is gone.
        state = read_state(path)
        module.load_state_dict({name: state[name] for name in names}, strict=False, assign=on_meta)


def read_state(path: Path) -> dict[str, Tensor]:
    """Returns the state dict in `path`; tensors of a .safetensors file are mapped, not read.

    Raises:
        UsageError: The file is missing, damaged, or would run code.
    """
    if not path.is_file():
        raise UsageError(f"weights file {path.name} does not exist")
    return _read_safetensors(path) if path.suffix == SAFETENSORS else _read_pickle(path)


def _fitting_portions(module: nn.Module, path: Path) -> list[list[str]]:
    """Returns the names in the file, a portion at a time; a pickle, which is read at once, is one portion."""
    state = read_state(path)
    problems = _mismatches(module, state)
    if problems:
        raise UsageError(
            f"{path.name} does not fit the model:\n" + "\n".join(f"  {line}" for line in _some(problems)),
            hint=_hint(module, state),
        )
    if path.suffix != SAFETENSORS:
        return [list(state)]
    portions: list[list[str]] = [[]]
    held = 0
    for name, tensor in state.items():
        if held > _PORTION:
            portions.append([])
            held = 0
        portions[-1].append(name)
        held += tensor.nbytes
    return portions


def _hint(module: nn.Module, state: Mapping[str, Tensor]) -> str:
    wanted = module.state_dict().keys()
    for prefix, inner in _WRAPPERS.items():
        if {name.removeprefix(prefix) for name in state} == wanted:
            return f"they were saved from a wrapper: save model.{inner}.state_dict() instead"
    return "the factory and its arguments must build the very model that the weights were saved from"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise UsageError(f"{path.name} is damaged or no safetensors file: {error}") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    import pickle

    import torch

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = _REFUSED_GLOBAL.search(str(error))
        asks = f"it asks for {found.group(1).rstrip('.')}" if found else "it holds more than tensors"
        raise UsageError(
            f"{path.name} was refused and not run: {asks}, and unpickling that can run any code",
            hint="save it as safetensors, or as torch.save(model.state_dict(), …)",
        ) from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        raise UsageError(f"{path.name} is damaged or no PyTorch weights file") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        held = f"a dict of {', '.join(map(str, state))}" if isinstance(state, dict) else type(state).__name__
        raise UsageError(f"{path.name} holds {held}, not a state dict", hint="save model.state_dict() alone")
    return state


def _mismatches(module: nn.Module, state: dict[str, Tensor]) -> list[str]:
    wanted = module.state_dict(keep_vars=True)
    present = {id(tensor) for name, tensor in wanted.items() if name in state}
    missing = [name for name, tensor in wanted.items() if name not in state and id(tensor) not in present]
    misshaped = [
        f"{name} has shape {tuple(state[name].shape)}, the model wants {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    unexpected = [f"{name} is not in the model" for name in state if name not in wanted]
    return [f"{name} is missing" for name in missing] + misshaped + unexpected


def _some(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _SHOWN
    return [*lines[:_SHOWN], *([f"… and {more} more"] if more > 0 else [])]
