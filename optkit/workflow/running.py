"""`optkit run`: one pass on one model, without a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from optkit.core.copying import copy_tree
from optkit.core.errors import UsageError
from optkit.core.events import Note
from optkit.core.linking import DATA, FILES, IMPORT, MODEL, ORIGINAL
from optkit.core.options import build_from_texts
from optkit.core.passes import DEFAULT_TARGET
from optkit.core.recipe import Step
from optkit.core.validate import did_you_mean
from optkit.workflow import output
from optkit.workflow.choices import choices
from optkit.workflow.host import this_host
from optkit.workflow.models import new_execution, open_model
from optkit.workflow.splits import CALIBRATION, SEARCH, apart
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from optkit.core.events import Event
    from optkit.core.passes import Pass
    from optkit.core.recipe import DataSpec


def run_pass(  # noqa: PLR0913, PLR0917  # what the command takes
    pass_name: str, model: Path, target_folder: Path, store: Path, options: Sequence[str], data: Mapping[str, DataSpec]
) -> Generator[Event, None, Path]:
    """Runs a pass and copies its artifact to `target_folder`.

    Args:
        pass_name: Key of the passes table.
        model: What `open_model` takes.
        target_folder: Absent or empty; receives the artifact.
        store: The store's folder.
        options: `name=value` texts.
        data: Role (such as calibration) → a part of a dataset; its path is relative to the current folder.

    Returns:
        `target_folder`.

    Raises:
        OptkitError: Something does not fit, or the pass failed.
    """
    from optkit.data.source import dataset_source

    do = _configured(pass_name, options)
    if target_folder.exists() and any(target_folder.iterdir()):
        raise UsageError(f"{target_folder} is not empty", hint="give a new folder with -o")
    execution = new_execution(store, target_folder.parent / output.REPRO)
    opened = yield from open_model(model, execution)
    if opened.kind not in do.roles[MODEL]:
        takes = " or ".join(sorted(do.roles[MODEL]))
        raise UsageError(f"{pass_name} takes a model of kind {takes}, and {model} is {opened.kind}")
    missing = do.active_roles() - do.optional_roles - data.keys() - {MODEL}
    if FILES in missing:
        raise UsageError(f"{pass_name} reads files of a recipe with these options", hint="write a recipe")
    if ORIGINAL in missing:
        raise UsageError(f"{pass_name} also reads the model that {model} was made from", hint="write a recipe")
    if missing:
        raise UsageError(f"{pass_name} needs data for {', '.join(sorted(missing))}", hint="give --calibration PATH")
    roles = {role: data[role] for role in sorted(do.active_roles() & data.keys())}
    parts = {
        DATA + role: dataset_source(Path(part.dataset), part.split, part.samples, execution.store.digests.file)
        for role, part in roles.items()
    }
    execution.sources = {**execution.sources, **parts}
    if {CALIBRATION, SEARCH} <= roles.keys():
        yield from execution.execute(apart(CALIBRATION, SEARCH))
    unused = data.keys() - do.active_roles()
    if SEARCH in unused:
        raise UsageError(
            f"{pass_name} searches for nothing with these options", hint="leave --search out, or give a budget"
        )
    step = Step(pass_name, do, {MODEL: opened.reference} | {role: DATA + role for role in roles})
    yield from execution.execute(step)
    for line in choices(step.name, execution.finished[step.name].record.get("notes", {})):
        yield Note(line)
    yield from execution.materialise(step.name)
    target_folder.parent.mkdir(parents=True, exist_ok=True)
    if target_folder.exists():
        target_folder.rmdir()
    with output.appearing(target_folder) as draft:
        copy_tree(execution.path(step.name), draft)
    return target_folder


def _configured(pass_name: str, options: Sequence[str]) -> Pass:
    passes = {name: kind for name, kind in load_tables().passes.items() if name != IMPORT}
    if pass_name not in passes:
        raise UsageError(f"no pass {pass_name!r}", hint=did_you_mean(pass_name, passes))
    do = build_from_texts(passes[pass_name], options, "--set")
    return do.resolve(getattr(do, "target", None) or DEFAULT_TARGET, this_host())
