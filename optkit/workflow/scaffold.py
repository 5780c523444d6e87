"""`optkit init`: a recipe that runs as it is, copied from the quickstart that we test."""

from __future__ import annotations

from pathlib import Path

from optkit.core.copying import copy_file
from optkit.core.errors import UsageError

_RECIPE_FILES = ("recipe.yaml", "model.py", "train.py", "weights.safetensors")
_DATA_FILES = ("dataset.yaml", "mnist.npz", "LICENSE")
# In the scaffold the data lies inside the recipe's folder. File → (what it says in the clone, what it says there).
_MOVED = {
    "recipe.yaml": ("../../calibration/mnist", "data"),
    "train.py": ('HERE.parent.parent / "calibration" / "mnist"', 'HERE / "data"'),
}


def scaffold(folder: Path) -> list[Path]:
    """Writes the example into `folder`, which must be empty or absent; returns the files.

    Raises:
        UsageError: The folder holds something, or cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", hint="give a new folder")
    recipe, data = _templates()
    try:
        (folder / "data").mkdir(parents=True)
        for name in _RECIPE_FILES:
            copy_file(recipe / name, folder / name)
        for name in _DATA_FILES:
            copy_file(data / name, folder / "data" / name)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from None
    for name, (before, after) in _MOVED.items():
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(before, after).replace("recipes/mnist/", ""))
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _templates() -> tuple[Path, Path]:
    """Returns the example's recipe and data: inside an installed package, or beside it in a clone."""
    package = Path(__file__).parents[1]
    installed = package / "templates"
    if installed.is_dir():
        return installed / "mnist", installed / "calibration" / "mnist"
    return package.parent / "recipes" / "mnist", package.parent / "calibration" / "mnist"
