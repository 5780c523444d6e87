"""What a failed step leaves behind so that somebody else can see it fail."""

from __future__ import annotations

import json
import platform
import re
from typing import TYPE_CHECKING

from optkit.core.copying import copy_file, copy_tree, remove_tree
from optkit.core.keys import installed_version
from optkit.core.passes import pass_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.recipe import Step

_VERSIONS = ("optkit", "torch", "onnx", "onnxruntime", "onnxscript", "onnxsim", "numpy")


def write_repro(root: Path, step: Step, inputs: Mapping[str, Path], folder: Path) -> Path:
    """Writes the failing step's inputs, options, versions and log below `root`.

    Args:
        root: Usually `<output>/repro`.
        step: The step that failed.
        inputs: Role → artifact folder (named by its digest).
        folder: The child's working folder, with its log.

    Returns:
        The folder written; `optkit run PASS FOLDER/inputs/model --calibration FOLDER/inputs/calibration -o DIR` starts
        such a step again.
    """
    target = root / re.sub(r"[^\w.]+", "-", step.name).strip("-.")  # a step may be named after a path
    remove_tree(target)
    target.mkdir(parents=True)
    for role, path in inputs.items():
        copy_tree(path, target / "inputs" / role)
    copy_file(folder / "log.txt", target / "log.txt")
    document = {
        "step": step.name,
        "pass": pass_path(step.do),
        "options": step.do.config(),
        "inputs": {role: path.name for role, path in inputs.items()},
        "versions": {name: installed_version(name) for name in _VERSIONS},
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    (target / "repro.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return target
