"""From a local Hugging Face folder to a module: transformers builds it, nothing is downloaded, no code in it runs."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.core.errors import MissingDependency, OptkitError, UsageError
from optkit.core.keys import installed_version
from optkit.runtimes.huggingface_calls import adapt
from optkit.runtimes.huggingface_files import read_config, weight_files
from optkit.runtimes.huggingface_tasks import TASKS, derive
from optkit.runtimes.weights import read_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from optkit.core.interface import Interface
    from optkit.core.recipe import Task

PACKAGE = "transformers"


def describe(folder: Path, task: Task) -> Interface:
    """Returns what the model in `folder` takes and returns for `task`; no weights are read.

    Raises:
        UsageError: The configuration is damaged, or its architecture is unknown or has no head for the task.
        MissingDependency: transformers is not installed.
    """
    with _library():
        return derive(_skeleton(_config(folder), task), task)


def load(folder: Path, task: Task, interface: Interface) -> nn.Module:
    """Returns the model in `folder` with its weights in float32, called by position with the interface's inputs.

    Raises:
        UsageError: As `describe` does; or a weight is missing, has another shape or cannot be trusted.
        MissingDependency: transformers is not installed.
    """
    import torch

    with _library():
        config = _config(folder)
        state = _state(weight_files(folder))
        model, found = type(_skeleton(config, task)).from_pretrained(  # type: ignore[attr-defined]  # a PreTrainedModel
            None, config=config, state_dict=state, dtype=torch.float32, local_files_only=True,
            output_loading_info=True, ignore_mismatched_sizes=True,
        )  # fmt: skip
    outputs = [tensor.name for tensor in interface.outputs] or list(TASKS[task].outputs)
    _check_complete(folder, task, found, outputs)
    return adapt(model, task, [tensor.name for tensor in interface.inputs], outputs)


def code_folder() -> Path:
    """Returns the folder of transformers, whose lines errors name.

    Raises:
        MissingDependency: transformers is not installed.
    """
    with _library() as library:
        return Path(library.__file__).parent


@contextmanager
def _library() -> Iterator[Any]:
    """Gives transformers, offline and silent."""
    if installed_version(PACKAGE) == "absent":
        raise MissingDependency(
            f"a huggingface model needs {PACKAGE}, which is not installed", hint="pip install 'optkit[huggingface]'"
        )
    os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when it is imported
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        import transformers

        transformers.utils.logging.disable_progress_bar()
        yield transformers
    except OptkitError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError, OSError) as error:
        raise UsageError(
            f"{PACKAGE} {installed_version(PACKAGE)} cannot build the model: {_first_line(error)}",
            hint="check config.json and the task",
        ) from error
    finally:
        logging.disable(disabled)


def _config(folder: Path) -> Any:  # noqa: ANN401  # a PretrainedConfig
    from transformers import CONFIG_MAPPING, AutoConfig

    document = read_config(folder)
    if document["model_type"] not in CONFIG_MAPPING:
        own = "; the folder's own code is never run" if "auto_map" in document else ""
        raise UsageError(
            f"{PACKAGE} {installed_version(PACKAGE)} knows no model_type {document['model_type']!r}{own}",
            hint="write a factory that builds it, and name that in the recipe",
        )
    return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _skeleton(config: Any, task: Task) -> nn.Module:  # noqa: ANN401  # a PretrainedConfig
    """Returns the model without memory for its weights."""
    import torch

    with torch.device("meta"):
        return _auto_class(config, task).from_config(config, trust_remote_code=False)  # type: ignore[no-any-return]  # a module


def _auto_class(config: Any, task: Task) -> Any:  # noqa: ANN401  # transformers' classes
    import transformers

    kinds = [getattr(transformers, name) for name in TASKS[task].classes]
    found = next((kind for kind in kinds if type(config) in kind._model_mapping), None)  # noqa: SLF001  # nothing public tells
    if found is None:
        fitting = [name for name in TASKS if _has_head(config, name)]
        raise UsageError(
            f"{config.model_type} has no head for {task}", hint=f"it can do {', '.join(fitting) or 'none of our tasks'}"
        )
    return found


def _has_head(config: Any, task: Task) -> bool:  # noqa: ANN401  # a PretrainedConfig
    import transformers

    return any(type(config) in getattr(transformers, name)._model_mapping for name in TASKS[task].classes)  # noqa: SLF001  # likewise


def _state(files: Sequence[Path]) -> dict[str, Tensor]:
    return {name: tensor for file in files for name, tensor in read_state(file).items()}


def _check_complete(folder: Path, task: Task, found: Mapping[str, Any], outputs: Sequence[str]) -> None:
    """Refuses weights that would be made up. A pooler that no output reads may be absent: many folders lack it."""
    missing = sorted(found["missing_keys"])
    if "pooler_output" not in outputs and task == "feature-extraction":
        missing = [name for name in missing if "pooler." not in name]
    shapes = [
        f"{name} has shape {tuple(ours)}, the model wants {tuple(theirs)}"
        for name, ours, theirs in sorted(found["mismatched_keys"])
    ]
    problems = [*(f"{name} is missing" for name in missing), *shapes]
    if problems:
        shown = "\n".join(f"  {line}" for line in problems[:10])
        more = f"\n  … and {len(problems) - 10} more" if len(problems) > 10 else ""  # noqa: PLR2004  # likewise
        raise UsageError(
            f"the weights in {folder.name} do not fit a model for {task}:\n{shown}{more}",
            hint="use the task that they were trained for, or feature-extraction",
        )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
