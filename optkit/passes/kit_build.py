"""Builds the engine of the build kit that this file lies in. Needs Python and TensorRT (10 or 11) or TensorRT-RTX.

    python build.py [--output model.plan]

optkit copies this file into kits and never imports it.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Checks the kit's files, parses the graph, builds the engine and writes it."""
    arguments = argparse.ArgumentParser(description="Builds the engine of this kit.")
    arguments.add_argument("--output", type=Path, default=HERE / "model.plan", help="where the engine is written")
    output = arguments.parse_args().output
    kit = json.loads((HERE / "kit.json").read_text())
    check_files(kit["files"])
    trt = importlib.import_module(kit["module"])
    for name in kit["plugins"]:
        ctypes.CDLL(str(HERE / name), ctypes.RTLD_GLOBAL)
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(HERE / "model.onnx")):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        sys.exit("\n".join(f"{error.node_operator()} {error.node_name()}: {error.desc()}" for error in errors))
    plan = builder.build_serialized_network(network, configured(trt, builder, kit))
    if plan is None:
        sys.exit("the builder failed: see its log above")
    output.write_bytes(memoryview(plan))
    print(f"{output}: {output.stat().st_size} bytes, sha256 {digest(output)}")  # noqa: T201  # what a script is for


def check_files(files: dict[str, str]) -> None:
    """Ends the program if a file of the kit is not the one that was judged."""
    for name, expected in files.items():
        if digest(HERE / name) != expected:
            sys.exit(f"{name} is not the file that was judged: its sha256 is not {expected}")


def digest(path: Path) -> str:
    """Returns the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def configured(trt: Any, builder: Any, kit: dict[str, Any]) -> Any:  # noqa: ANN401  # TensorRT ships no types
    """Returns the builder's configuration."""
    config = builder.create_builder_config()
    config.builder_optimization_level = kit["level"]
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if kit["workspace"]:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, kit["workspace"] << 20)
    for flag in kit["flags"]:
        config.set_flag(getattr(trt.BuilderFlag, flag))
    if kit["hardware"]:
        config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, kit["hardware"])
    if kit["capabilities"]:
        config.num_compute_capabilities = len(kit["capabilities"])
        for index, capability in enumerate(kit["capabilities"]):
            config.set_compute_capability(getattr(trt.ComputeCapability, "SM" + capability.replace(".", "")), index)
    for shapes in kit["profiles"]:
        profile = builder.create_optimization_profile()
        for name, shape in shapes.items():
            profile.set_shape(name, *(tuple(shape[which]) for which in ("min", "opt", "max")))
        if config.add_optimization_profile(profile) < 0:
            sys.exit(f"the profile {shapes} is refused: see the log above")
    return config


if __name__ == "__main__":
    main()
