"""Several models of a command line, each with the runtime that is to run it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from optkit.core.errors import MissingDependency, UsageError
from optkit.runtimes.table import check_installed, runtime_named
from optkit.workflow.models import OpenedModel, open_model

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from optkit.core.events import Event
    from optkit.core.runner import Execution


def open_all(
    paths: Sequence[Path], runtimes: Sequence[str], execution: Execution
) -> Generator[Event, None, list[OpenedModel]]:
    """Returns the models as the runtimes called `runtimes` run them; by default each kind has one.

    One name is meant for every model that it can open, several for one model each, or all for the only model.

    Raises:
        UsageError: A runtime is unknown, or does not fit.
    """
    for name in runtimes:
        runtime_named(name)
    models: list[OpenedModel] = []
    for number, path in enumerate(paths, 1):
        name = f"{path} ({number})" if path in paths[: number - 1] else str(path)
        models.append((yield from open_model(path, execution, name)))
    if not runtimes:
        return models
    return _all_in(models, runtimes[0]) if len(runtimes) == 1 else _one_each(models, runtimes)


def split_absent(models: Sequence[OpenedModel]) -> tuple[list[OpenedModel], dict[str, str]]:
    """Returns the models whose runtimes are here, and for the others name → what is missing.

    Raises:
        MissingDependency: Nothing can be run.
    """
    present, absent = list[OpenedModel](), dict[str, MissingDependency]()
    for model in models:
        try:
            check_installed(model.runtime)
        except MissingDependency as error:
            absent[model.name] = error
        else:
            present.append(model)
    if not present:
        errors = {error.message: error.hint for error in absent.values()}
        raise MissingDependency("\n".join(errors), hint="\n".join(filter(None, dict.fromkeys(errors.values()))))
    return present, {name: error.message for name, error in absent.items()}


def _all_in(models: Sequence[OpenedModel], runtime: str) -> list[OpenedModel]:
    fitting = [model.kind in runtime_named(runtime).kinds for model in models]
    if not any(fitting):
        raise UsageError(f"the runtime {runtime} opens no model of kind {models[0].kind}")
    return [replace(m, runtime=runtime) if fits else m for m, fits in zip(models, fitting, strict=True)]


def _one_each(models: Sequence[OpenedModel], runtimes: Sequence[str]) -> list[OpenedModel]:
    if len(models) == 1 and len(set(runtimes)) == len(runtimes):
        models = [replace(models[0], name=f"{models[0].name} ({runtime})") for runtime in runtimes]
    if len(runtimes) != len(models):
        hint = "give one, or one for each model, or different ones for one model"
        raise UsageError(f"{len(runtimes)} runtimes for {len(models)} models", hint=hint)
    for model, runtime in zip(models, runtimes, strict=True):
        if model.kind not in runtime_named(runtime).kinds:
            raise UsageError(f"the runtime {runtime} does not open {model.name}, which is of kind {model.kind}")
    return [replace(model, runtime=runtime) for model, runtime in zip(models, runtimes, strict=True)]
