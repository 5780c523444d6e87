from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from optkit.core.errors import UsageError
from optkit.runtimes import weights
from optkit.runtimes.torch_model import load_module
from optkit.runtimes.weights import load_weights

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runtimes.conftest import TorchModel


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.tensor([1.0, -1.0])}


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth"])
def test_loads_both_formats(torch_model: TorchModel, state: dict[str, torch.Tensor], name: str) -> None:
    folder = torch_model(weights=name)
    save_file(state, folder / name) if name.endswith("safetensors") else torch.save(state, folder / name)
    loaded = load_module(folder).state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in state)


def test_large_files_are_copied_in_portions(
    tmp_path: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_PORTION", 1)
    save_file(state, tmp_path / "w.safetensors")
    module = nn.Linear(3, 2)
    copied: list[list[str]] = []
    module.register_load_state_dict_pre_hook(lambda _module, given, *_: copied.append(list(given)))  # type: ignore[no-untyped-call]  # torch's
    load_weights(module, tmp_path / "w.safetensors")
    assert sorted(copied) == [["bias"], ["weight"]]
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())


def test_tensors_that_do_not_fit_are_all_named(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    save_file({"weight": state["weight"].T.contiguous(), "extra": state["bias"]}, tmp_path / "w.safetensors")
    with pytest.raises(UsageError) as caught:
        load_weights(nn.Linear(3, 2), tmp_path / "w.safetensors")
    assert caught.value.message.splitlines() == [
        "w.safetensors does not fit the model:",
        "  bias is missing",
        "  weight has shape (3, 2), the model wants (2, 3)",
        "  extra is not in the model",
    ]


def test_a_long_list_of_tensors_is_cut(tmp_path: Path) -> None:
    save_file({f"t{index}": torch.ones(1) for index in range(30)}, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match="… and 22 more"):
        load_weights(nn.Linear(3, 2), tmp_path / "w.safetensors")


def test_shared_tensors_may_be_stored_once(tmp_path: Path) -> None:
    embed, head = nn.Embedding(4, 3), nn.Linear(3, 4, bias=False)
    head.weight = embed.weight
    module = nn.ModuleDict({"embed": embed, "head": head})
    save_file({"embed.weight": torch.full((4, 3), 2.0)}, tmp_path / "w.safetensors")
    load_weights(module, tmp_path / "w.safetensors")
    assert torch.equal(head.weight, torch.full((4, 3), 2.0))


@pytest.mark.parametrize(("prefix", "inner"), [("module.", "module"), ("_orig_mod.", "_orig_mod")])
def test_weights_of_a_wrapper_are_known_by_their_prefix(
    tmp_path: Path, state: dict[str, torch.Tensor], prefix: str, inner: str
) -> None:
    save_file({f"{prefix}{key}": tensor for key, tensor in state.items()}, tmp_path / "w.safetensors")
    with pytest.raises(UsageError) as caught:
        load_weights(nn.Linear(3, 2), tmp_path / "w.safetensors")
    assert caught.value.hint == f"they were saved from a wrapper: save model.{inner}.state_dict() instead"


def test_a_module_without_memory_takes_the_tensors_over(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    module = nn.Linear(3, 2, device="meta")
    save_file(state, tmp_path / "w.safetensors")
    load_weights(module, tmp_path / "w.safetensors")
    assert torch.equal(module.weight, state["weight"])


class _Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.mark}",))


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path, writer: str) -> None:
    mark, file = tmp_path / "ran", tmp_path / "w.pt"
    if writer == "torch":
        torch.save({"weight": _Evil(mark)}, file)
    else:
        file.write_bytes(pickle.dumps({"weight": _Evil(mark)}))
    with pytest.raises(UsageError, match=r"w\.pt was refused and not run") as caught:
        load_weights(nn.Linear(3, 2), file)
    assert "safetensors" in caught.value.hint
    assert not mark.exists()


def test_a_pickled_module_is_refused_by_name(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 2), tmp_path / "w.pt")
    with pytest.raises(UsageError, match=r"it asks for torch\.nn\.modules\.linear\.Linear,"):
        load_weights(nn.Linear(3, 2), tmp_path / "w.pt")


def test_a_checkpoint_is_no_state_dict(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "w.pt")
    with pytest.raises(UsageError, match="holds a dict of epoch, state_dict, not a state dict"):
        load_weights(nn.Linear(3, 2), tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize("content", [b"", b"hello world", b"\xff" * 200])
def test_damaged_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=rf"{name} "):
        load_weights(nn.Linear(3, 2), tmp_path / name)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_truncated_files(tmp_path: Path, state: dict[str, torch.Tensor], name: str) -> None:
    file = tmp_path / name
    save_file(state, file) if name.endswith("safetensors") else torch.save(state, file)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UsageError, match="damaged"):
        load_weights(nn.Linear(3, 2), file)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"weights file w\.pt does not exist"):
        load_weights(nn.Linear(3, 2), tmp_path / "w.pt")
