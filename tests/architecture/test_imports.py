"""Imports point one way, and nothing heavy is imported until it is needed."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "optkit"
FILES = sorted(PACKAGE.rglob("*.py"))

# Layer → the layers below it that it may import, besides itself.
BELOW = {
    "core": set[str](),
    "report": {"core"},
    "graph": {"core"},
    "data": {"core"},
    "runtimes": {"core"},
    "quant": {"graph", "data", "core"},
    "train": {"graph", "data", "core"},
    "measure": {"runtimes", "data", "core"},
    "passes": {"measure", "graph", "quant", "train", "runtimes", "data", "core"},
    "serving": {"measure", "graph", "quant", "train", "runtimes", "data", "core"},
    "workflow": {
        "passes", "serving", "report", "measure", "graph", "quant", "train", "runtimes", "data", "core",
    },
    "cli": {"workflow", "report", "core"},
}  # fmt: skip
HEAVY = {
    "torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "onnxsim", "onnxslim", "numpy",
    "scipy", "pydantic", "pydantic_core",
    "rich", "safetensors", "google", "tritonclient", "PIL", "pandas", "pyarrow", "yaml", "psutil", "sklearn",
    "transformers",
}  # fmt: skip


class Import(NamedTuple):
    """One imported module, and where."""

    file: str
    line: int
    module: str

    @property
    def top(self) -> str:
        """The first part of the module's name."""
        return self.module.partition(".")[0]

    @property
    def layer(self) -> str:
        """The part below optkit; empty for optkit itself."""
        return ([*self.module.split("."), ""])[1]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def layer_of(file: Path) -> str:
    """Returns the layer of a file; a layer may be one module (`workflow.py`)."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules(node: ast.stmt, file: Path) -> list[str]:
    """Returns the full names of the modules (or members) that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    package = file.relative_to(ROOT).parent.parts
    base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
    prefix = ".".join(filter(None, [base, node.module]))
    return [f"{prefix}.{alias.name}" for alias in node.names]


def imports(file: Path, *, at_start: bool = False, types: bool = True) -> Iterator[Import]:
    """Yields what a file imports.

    Args:
        file: A module of optkit.
        at_start: Only what runs when it is imported itself; that leaves out types, too.
        types: Whether imports for annotations alone count.
    """
    pending: list[ast.AST] = [ast.parse(file.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for module in modules(node, file):
                yield Import(str(file.relative_to(ROOT)), node.lineno, module)
        if at_start and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if (at_start or not types) and isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            pending.extend(node.orelse)
            continue
        pending.extend(ast.iter_child_nodes(node))


def test_every_folder_is_a_known_layer() -> None:
    layers = {layer_of(file) for file in FILES} - {"__init__", "__main__", "templates"}
    assert layers <= set(BELOW)
    assert "core" in layers


@pytest.mark.parametrize("layer", sorted(BELOW))
def test_imports_point_one_way(layer: str) -> None:
    allowed = BELOW[layer] | {layer, ""}
    types = layer != "cli"  # a command may name the types of what the library gives it
    wrong = [
        found
        for file in FILES
        if layer_of(file) == layer
        for found in imports(file, types=types)
        if found.top == "optkit" and found.layer not in allowed and found.layer in BELOW
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_the_layers_have_no_cycle() -> None:
    done: set[str] = set()
    while len(done) < len(BELOW):
        ready = {layer for layer, below in BELOW.items() if below <= done} - done
        assert ready, f"a cycle among {sorted(set(BELOW) - done)}"
        done |= ready


def test_nothing_heavy_is_imported_at_module_level() -> None:
    wrong = [found for file in FILES for found in imports(file, at_start=True) if found.top in HEAVY]
    assert not wrong, "\n".join(map(str, wrong))


def test_core_knows_no_model_library() -> None:
    """At no level: yaml and pydantic are all that its edge uses."""
    allowed = {"yaml", "pydantic", "optkit", *sys.stdlib_module_names}
    wrong = [found for file in FILES if layer_of(file) == "core" for found in imports(file) if found.top not in allowed]
    assert not wrong, "\n".join(map(str, wrong))


def test_the_package_itself_imports_nothing() -> None:
    assert [found for found in imports(PACKAGE / "__init__.py", at_start=True) if found.top != "__future__"] == []


def test_the_finder_sees_what_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "optkit" / "core" / "sample.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import torch.nn\n"
        "from ..graph import fold\n"
        "from . import store\n"
        "if TYPE_CHECKING:\n    import numpy\n"
        "try:\n    import onnx\nexcept ImportError:\n    pass\n"
        "class C:\n    import yaml\n"
        "def f():\n    import scipy\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    everywhere = {found.module for found in imports(file)}
    assert everywhere == {
        "torch.nn", "optkit.graph.fold", "optkit.core.store", "numpy", "onnx", "yaml", "scipy",
    }  # fmt: skip
    assert everywhere - {found.module for found in imports(file, at_start=True)} == {"numpy", "scipy"}
