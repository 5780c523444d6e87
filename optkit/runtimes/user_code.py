"""Running the model code that a user brings: imported from its folder, and blamed at its own line."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.core.errors import MissingDependency, OptkitError, StepFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

CODE = "code"


def import_file(code: Path, relative: str) -> ModuleType:
    """Imports the file `relative` of the folder `code`, as its siblings and its dataclasses expect.

    The module keeps the file's own name (`layers/model.py` in a package becomes `layers.model`), never a random one, so
    that what the exporter writes about it is the same on every machine. `code` and the file's folder lead `sys.path`
    until another model's code is imported.

    Raises:
        StepFailed: The file raises while it is imported.
        MissingDependency: It imports a module that is not installed.
    """
    path = code / relative
    _lead_path(code, path.parent)
    with blame(code, f"importing {relative}"):
        package = _package_of(code, path)
        if package:
            return importlib.import_module(f"{package}.{path.stem}")
        return _import_alone(path)


@contextmanager
def blame(code: Path, doing: str) -> Iterator[None]:
    """Turns whatever the user's code raises inside the block into an error that names the user's own line.

    Args:
        code: The folder with the user's code.
        doing: What was going on, for errors that no line of the user's code took part in.
    """
    try:
        yield
    except OptkitError:
        raise
    except ModuleNotFoundError as error:
        hint = "install the package that provides it, or list the file under `code:` if it is yours"
        raise MissingDependency(describe(error, code, doing), hint=hint) from error
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise StepFailed(describe(error, code, doing)) from error


def describe(error: BaseException, code: Path, doing: str) -> str:
    """Returns `model.py:42 in build: ValueError: …` for the deepest frame inside `code`."""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    first = next(iter(message.strip().splitlines()), "")
    return f"{_where(error, code) or doing}: {type(error).__name__}{': ' if first else ''}{first}"


def _where(error: BaseException, code: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(code):
        return f"{Path(error.filename).relative_to(code).as_posix()}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(code)]
    if not frames:
        return ""
    frame = frames[-1]
    scope = "" if frame.name == "<module>" else f" in {frame.name}"
    return f"{Path(frame.filename).relative_to(code).as_posix()}:{frame.lineno}{scope}"


def _lead_path(code: Path, folder: Path) -> None:
    # A model's folder is digested and shared: importing from it must not leave __pycache__ behind.
    sys.dont_write_bytecode = True
    earlier = [entry for entry in sys.path if _is_model_code(entry)]
    # Two models may each bring a `layers.py`; what the other one imported must not be taken for this one's.
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(tuple(f"{entry}/" for entry in earlier)):
            del sys.modules[name]
    ours = dict.fromkeys([str(folder), str(code)])
    sys.path[:] = [*ours, *(entry for entry in sys.path if entry not in {*earlier, *ours})]
    importlib.invalidate_caches()


def _is_model_code(entry: str) -> bool:
    parts = Path(entry).parts
    return any(
        part == CODE and Path(*parts[:depth], "model.json").exists() for depth, part in enumerate(parts) if depth
    )


def _package_of(code: Path, path: Path) -> str:
    """Returns the dotted name of the package that `path` lies in, or nothing if its folder is none."""
    parents = path.parent.relative_to(code).parts
    is_package = parents and all(
        (code.joinpath(*parents[: i + 1]) / "__init__.py").exists() for i in range(len(parents))
    )
    return ".".join(parents) if is_package else ""


def _import_alone(path: Path) -> ModuleType:
    # A `types.py` or `torch.py` of the user's must not replace what everything else imports by that name.
    taken = path.stem in sys.stdlib_module_names or path.stem in sys.modules
    name = f"{path.stem}_" if taken else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StepFailed(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
