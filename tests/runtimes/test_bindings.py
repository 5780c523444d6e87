"""What our code asks of TensorRT's modules exists: in TensorRT-RTX, and in the real bindings of TensorRT 10 and 11.

The bindings are ordinary packages (`make bindings`); the libraries that they are linked with are stood in for by stubs.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BINDINGS = ROOT / ".bindings"
OBJECTS = {
    "builder": "Builder", "cache": "ITimingCache", "config": "IBuilderConfig", "context": "IExecutionContext",
    "engine": "ICudaEngine", "error": "ParserError", "inspector": "EngineInspector", "layer": "ILayer",
    "network": "INetworkDefinition",
    "parser": "OnnxParser", "profile": "IOptimizationProfile", "refitter": "Refitter", "runtime": "Runtime",
    "source": "OnnxParserRefitter", "tensor": "ITensor",
}  # fmt: skip
"""What our variables are called → the class of the library."""
FILES = {
    "optkit/runtimes/tensorrt/parsing.py": {"builder", "network", "parser", "error"},
    "optkit/runtimes/tensorrt/log.py": set(),
    "optkit/runtimes/tensorrt/loading.py": {"runtime"},
    "optkit/runtimes/tensorrt/session.py": {"engine", "context"},
    "optkit/runtimes/tensorrt/inspecting.py": {"engine", "inspector"},
    "optkit/runtimes/tensorrt/profile.py": {"context"},
    "optkit/runtimes/tensorrt/refitting.py": {"refitter", "source"},
    "optkit/runtimes/tensorrt/outputs.py": set(),
    "optkit/passes/building.py": {"builder"},
    "optkit/passes/engine_about.py": {"network", "layer", "tensor"},
    "optkit/passes/engine_config.py": {"builder", "network", "config", "profile"},
    "optkit/passes/timing_cache.py": {"config", "cache"},
    "optkit/passes/kit_build.py": {"builder", "network", "parser", "config", "profile"},
}
"""Where we use which of them."""
ONLY_RTX = {
    ("IBuilderConfig", "num_compute_capabilities"), ("IBuilderConfig", "set_compute_capability"),
    ("", "ComputeCapability"),
}  # fmt: skip
"""What stands behind the option `capabilities`, which the classic library refuses."""
STRINGS = {
    "BuilderFlag": {"VERSION_COMPATIBLE", "WEIGHT_STREAMING", "STRIP_PLAN", "REFIT", "REFIT_INDIVIDUAL"},
    "HardwareCompatibilityLevel": {"AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY"},
}
"""Members that we name in strings."""
SYMBOLS = (
    "createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL", "getBuilderPluginRegistry",
    "getNvOnnxParserVersion", "getPluginRegistry", "initLibNvInferPlugins", "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL", "getLogger", "getInferLibVersion",
)  # fmt: skip
"""What the bindings are linked with."""
LIST = """
import importlib, json, sys
trt = importlib.import_module(sys.argv[1])
classes = {name: dir(getattr(trt, name)) for name in dir(trt) if isinstance(getattr(trt, name), type)}
print(json.dumps(classes | {"": dir(trt)}))
"""


def used() -> set[tuple[str, str]]:
    """Returns every (class, attribute) that our code asks for; of the module itself, the class is empty."""
    found = {(enum, name) for enum, names in STRINGS.items() for name in names}
    for file, names in FILES.items():
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.Attribute):
                found |= set(_asked(node, names))
    return found


def _asked(node: ast.Attribute, names: set[str]) -> Iterator[tuple[str, str]]:
    owner = node.value
    last = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    if last == "trt":
        yield "", node.attr
    elif isinstance(owner, ast.Attribute) and _last(owner.value) == "trt":
        yield owner.attr, node.attr
    elif last in names:
        yield OBJECTS[last], node.attr


def _last(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def missing(api: dict[str, Any]) -> set[tuple[str, str]]:
    """Returns what we ask for and a module lacks. `__name__` is every module's."""
    return {(owner, name) for owner, name in used() if name not in {*api.get(owner, ()), "__name__", "__version__"}}


def test_we_ask_for_something() -> None:
    assert {("IBuilderConfig", "set_flag"), ("", "OnnxParser"), ("TensorLocation", "HOST")} <= used()
    assert {OBJECTS[name] for names in FILES.values() for name in names} == {owner for owner, _ in used()} & set(
        OBJECTS.values()
    )


def test_tensorrt_rtx_has_all_of_it() -> None:
    pytest.importorskip("tensorrt_rtx", reason="optkit[rtx] is not installed", exc_type=ImportError)
    trt = importlib.import_module("tensorrt_rtx")
    names = {name: dir(getattr(trt, name)) for name in dir(trt) if isinstance(getattr(trt, name), type)}
    assert missing({**names, "": dir(trt)}) == set()


@pytest.mark.parametrize("major", [10, 11])
def test_the_real_bindings_have_all_of_it(major: int, tmp_path: Path) -> None:
    folder, compiler = BINDINGS / str(major), shutil.which("cc")
    if not folder.is_dir():
        pytest.skip("`make bindings` was not run")
    if compiler is None:
        pytest.skip("no C compiler to make stubs of the libraries with")
    (tmp_path / "stub.c").write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in SYMBOLS))
    for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        library = tmp_path / f"lib{name}.so.{major}"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "stub.c"], check=True)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LIST, "tensorrt_bindings.tensorrt"],
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": str(folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert missing(json.loads(done.stdout)) == ONLY_RTX
