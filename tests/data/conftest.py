from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = 40


def write_manifest(folder: Path, **changes: Any) -> Path:  # noqa: ANN401  # any YAML
    """Writes a small manifest with the given sections replaced; None leaves a section out."""
    document: dict[str, Any] = {
        "name": "tiny",
        "files": {"data.npz": {}},
        "reader": {"npz": {}},
        "splits": {"train": {"rows": [0, 30]}, "test": {"rows": [30, ROWS]}},
        "inputs": {"x": {"dtype": "float32"}},
        "labels": {"column": "y", "classes": ["a", "b", "c", "d"]},
    } | changes
    folder.mkdir(exist_ok=True)
    path = folder / "dataset.yaml"
    kept = {key: value for key, value in document.items() if value is not None}
    path.write_text(yaml.safe_dump(kept, sort_keys=False))
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder with 40 rows in an .npz: `x` holds its row number, `y` is sorted by class."""

    def make(arrays: dict[str, np.ndarray] | None = None, **changes: Any) -> Path:  # noqa: ANN401  # any YAML
        folder = tmp_path / "tiny"
        write_manifest(folder, **changes)
        default = {"x": np.arange(ROWS, dtype=np.int32)[:, None], "y": np.arange(ROWS) // 10}
        np.savez_compressed(folder / "data.npz", **(default if arrays is None else arrays))
        return folder

    return make
