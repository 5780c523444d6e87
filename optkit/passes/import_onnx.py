"""The step that takes in an ONNX file of unknown origin: checked, described, weights gathered under one name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from optkit.core.passes import Pass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work


@dataclass(frozen=True)
class ImportOnnx(Pass):
    """Checks an ONNX file that is not trusted, and writes it as optkit's own kind of ONNX artifact."""

    version: ClassVar[int] = 1
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"onnx-source"})}
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("onnx", "onnx_ir", "onnxruntime", "numpy")

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes `model.onnx`, its weights beside it if they are large, and its interface.

        Raises:
            UsageError: The file is damaged, unsafe, has an operator that nobody knows, or does not fit what the recipe
                says of its inputs.
        """
        from optkit.passes.importing import import_onnx

        import_onnx(inputs["model"], work)
