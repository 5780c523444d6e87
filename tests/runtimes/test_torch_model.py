from __future__ import annotations

import sys
import types
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from optkit.core.errors import MissingDependency, StepFailed, UsageError
from optkit.core.interface import Tensor
from optkit.runtimes.torch_eager import open_session
from optkit.runtimes.torch_model import call_arguments, load_module, named_outputs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runtimes.conftest import TorchModel


def test_loads_in_eval_mode_with_arguments(torch_model: TorchModel) -> None:
    module = load_module(torch_model(arguments={"features": 5}))
    assert isinstance(module, nn.Linear)
    assert module.in_features == 5
    assert not module.training


def test_without_weights_the_initialisation_is_seeded(torch_model: TorchModel) -> None:
    folder = torch_model()
    first, second = load_module(folder), load_module(folder)
    assert torch.equal(first.state_dict()["weight"], second.state_dict()["weight"])


def test_imports_siblings_and_dataclasses_and_leaves_no_bytecode(torch_model: TorchModel) -> None:
    source = """
        from __future__ import annotations
        from dataclasses import dataclass
        import torch
        from layers import Block

        @dataclass
        class Config:
            width: int = 3

        def build():
            return Block(Config().width)
    """
    block = "import torch\nclass Block(torch.nn.Linear):\n    def __init__(self, n):\n        super().__init__(n, 1)\n"
    folder = torch_model(source, files={"layers.py": block})
    module = load_module(folder)
    assert type(module).__module__ == "layers"
    assert not list(folder.rglob("__pycache__"))


def test_factory_in_a_package_may_import_relatively(torch_model: TorchModel) -> None:
    files = {"net/__init__.py": "", "net/parts.py": "import torch\nPart = torch.nn.ReLU\n"}
    folder = torch_model("from .parts import Part\nbuild = Part\n", factory="net/model.py:build", files=files)
    assert isinstance(load_module(folder), nn.ReLU)


def test_each_model_gets_its_own_siblings(torch_model: TorchModel) -> None:
    source = "from size import SIZE\nimport torch\ndef build():\n    return torch.nn.Linear(SIZE, 1)\n"
    folders = [torch_model(source, files={"size.py": f"SIZE = {size}\n"}, name=f"m{size}") for size in (2, 7)]
    modules = [load_module(folder) for folder in folders]
    assert [module.in_features for module in modules] == [2, 7]


def test_a_file_named_like_an_installed_module_does_not_replace_it(torch_model: TorchModel) -> None:
    load_module(torch_model(factory="types.py:build"))
    assert sys.modules["types"] is types


def test_factory_that_raises_is_blamed_at_its_own_line(torch_model: TorchModel) -> None:
    source = "import torch\n\ndef build():\n    return torch.nn.Linear(int('many'), 2)\n"
    with pytest.raises(StepFailed, match=r"^model\.py:4 in build: ValueError: invalid literal"):
        load_module(torch_model(source))


def test_error_deep_in_torch_names_the_deepest_line_of_the_user(torch_model: TorchModel) -> None:
    source = "from parts import part\ndef build():\n    return part()\n"
    files = {"parts.py": "import torch\ndef part():\n    return torch.nn.Conv2d(3, 4, 1, groups=2)\n"}
    with pytest.raises(StepFailed, match=r"^parts\.py:3 in part: ValueError: in_channels"):
        load_module(torch_model(source, files=files))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def build(:\n", r"^model\.py:1: SyntaxError"),
        ("1 / 0\n", r"^model\.py:1: ZeroDivisionError"),
        ("import sys\ndef build():\n    sys.exit('no')\n", r"^model\.py:3 in build: SystemExit: no"),
        ("def build(width):\n    return None\n", r"^calling model\.py:build: TypeError: build\(\) missing 1 required"),
        ("def build():\n    return [1]\n", r"model\.py:build returned list, not a torch\.nn\.Module"),
    ],
)
def test_broken_factories(torch_model: TorchModel, source: str, message: str) -> None:
    with pytest.raises(StepFailed, match=message):
        load_module(torch_model(source))


def test_import_of_an_absent_package(torch_model: TorchModel) -> None:
    with pytest.raises(MissingDependency, match=r"model\.py:1: ModuleNotFoundError: No module named 'not_there'"):
        load_module(torch_model("import not_there\n"))


@pytest.mark.parametrize("wrapper", ["torch.nn.DataParallel", "torch.compile"])
def test_wrappers_that_exporters_cannot_look_through_are_taken_off(torch_model: TorchModel, wrapper: str) -> None:
    source = f"import torch\ndef build():\n    return {wrapper}(torch.nn.Linear(3, 2))\n"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations while it imports its compiler
        assert type(load_module(torch_model(source))) is torch.nn.Linear


def test_absent_factory(torch_model: TorchModel) -> None:
    with pytest.raises(UsageError, match=r"model\.py has no function or class 'make'"):
        load_module(torch_model(factory="model.py:make"))
    folder = torch_model(name="other")
    (folder / "code" / "model.py").unlink()
    with pytest.raises(UsageError, match=r"factory file model\.py does not exist"):
        load_module(folder)


def test_factory_outside_the_code_folder_is_refused(torch_model: TorchModel, tmp_path: Path) -> None:
    folder = torch_model(factory="../../evil.py:build")
    assert (tmp_path / "evil.py").exists()
    with pytest.raises(UsageError, match="does not exist"):
        load_module(folder)


class _Named(nn.Module):
    def forward(self, ids: torch.Tensor, *, mask: torch.Tensor | None = None) -> torch.Tensor:
        return ids if mask is None else ids * mask


def test_inputs_go_by_keyword_where_forward_has_all_the_names() -> None:
    assert call_arguments(_Named(), {"mask": 1, "ids": 2}) == ((), {"mask": 1, "ids": 2})
    assert call_arguments(_Named(), {"image": 1, "mask": 2}) == ((1, 2), {})
    assert call_arguments(nn.Sequential(), {"image": 1}) == ((1,), {})


def test_outputs_are_flattened_in_order_without_none() -> None:
    a, b, c = (torch.full((1,), float(i)) for i in range(3))
    named = named_outputs({"first": a, "none": None, "rest": (b, [c])}, ["x", "y", "z"])
    assert [name for name, tensor in named.items() if tensor.item() == "xyz".index(name)] == ["x", "y", "z"]
    assert list(named_outputs((a, b), [])) == ["output_0", "output_1"]


def test_outputs_that_do_not_match_the_names() -> None:
    with pytest.raises(StepFailed, match=r"returned 2 tensors \(\(1,\), \(2,\)\), the interface names 1: y"):
        named_outputs((torch.ones(1), torch.ones(2)), ["y"])
    with pytest.raises(StepFailed, match="returned a str"):
        named_outputs((torch.ones(1), "text"), ["y"])


def test_named_inputs_reach_the_model_in_any_order(torch_model: TorchModel) -> None:
    source = """
        import torch
        class Net(torch.nn.Module):
            def forward(self, ids, mask):
                return ids - mask
        build = Net
    """
    inputs = (Tensor("mask", "int64", ("batch",)), Tensor("ids", "int64", ("batch",)))
    session = open_session(torch_model(source, inputs=inputs), 1)
    result = session.run({"ids": np.array([5, 5]), "mask": np.array([1, 2])})
    np.testing.assert_array_equal(result["y"], [4, 3])
