"""Model artifacts written by hand, as a recipe's sources would become."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from optkit.core import interface
from optkit.core.interface import Dim, Interface, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LINEAR = """
    import torch

    def build(features: int = 3) -> torch.nn.Module:
        return torch.nn.Linear(features, 2)
"""


class TorchModel(Protocol):
    def __call__(  # noqa: PLR0913  # one optional part of a model each
        self,
        source: str = ...,
        *,
        inputs: tuple[Tensor, ...] = ...,
        outputs: tuple[str, ...] = ...,
        arguments: Mapping[str, Any] | None = ...,
        weights: str | None = ...,
        factory: str = ...,
        files: Mapping[str, str] | None = ...,
        name: str = ...,
    ) -> Path: ...


@pytest.fixture
def torch_model(tmp_path: Path) -> TorchModel:
    """Writes a `torch` artifact and returns its folder."""

    def write(  # noqa: PLR0913  # one optional part of a model each
        source: str = LINEAR,
        *,
        inputs: tuple[Tensor, ...] = (Tensor("x", "float32", ("batch", 3)),),
        outputs: tuple[str, ...] = ("y",),
        arguments: Mapping[str, Any] | None = None,
        weights: str | None = None,
        factory: str = "model.py:build",
        files: Mapping[str, str] | None = None,
        name: str = "artifact",
    ) -> Path:
        folder = tmp_path / name
        for relative, text in {factory.partition(":")[0]: source, **(files or {})}.items():
            path = folder / "code" / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip())
        declared = Interface(inputs, tuple(Tensor(o, "float32", ("batch", "...")) for o in outputs), {"batch": Dim()})
        interface.write(folder, declared, factory=factory, arguments=dict(arguments or {}), weights=weights)
        return folder

    return write
