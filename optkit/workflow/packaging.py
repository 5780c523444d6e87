"""Writes approved candidates for serving runtimes, with recorded requests to verify them by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core import interface
from optkit.core.copying import copy_file
from optkit.core.errors import UsageError
from optkit.core.events import Event, Note, Packaged
from optkit.core.linking import DATA
from optkit.core.objective import PARETO
from optkit.core.recipe import Step
from optkit.runtimes.tensorrt.plan import PLAN_FILE
from optkit.workflow.engines import builds_engine
from optkit.workflow.output import GOLDEN, appearing
from optkit.workflow.subjects import candidate_of
from optkit.workflow.tables import TARGETS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from optkit.core.gates import Approved
    from optkit.core.recipe import Recipe
    from optkit.core.runner import Execution
    from optkit.core.sources import Source
    from optkit.serving.emitter import Deployable, Emitter

_MODEL_FILES = ("model.onnx", "model.onnx.data", PLAN_FILE)


def model_bytes(folder: Path) -> int:
    """Returns the size of a model artifact: the graph and its external data, or the engine."""
    return sum((folder / name).stat().st_size for name in _MODEL_FILES if (folder / name).exists())


def entry_name(recipe: str, candidate: str, *, alone: bool) -> str:
    """Returns the name that clients ask for: the recipe's, with the candidate's where there can be several."""
    return recipe if alone else f"{recipe}-{candidate}"


def package(
    recipe: Recipe, approved: Sequence[Approved], execution: Execution, folder: Path
) -> Generator[Event, None, dict[str, dict[str, str]]]:
    """Emits approved candidates for every runtime that the recipe names.

    Returns:
        Candidate → emitter → path below `folder`.
    """
    served = [each for each in approved if _is_served(recipe, each.candidate)]
    alone = len(recipe.leaves) == 1 or (recipe.objective is not None and recipe.objective.kind != PARETO)
    deployables = {}
    if served:
        with appearing(folder / GOLDEN) as golden:
            for each in served:
                name = entry_name(recipe.name, each.candidate, alone=alone)
                yield from _record_golden(recipe, each, execution, golden / f"{name}.npz")
                deployables[each.candidate] = deployable_of(recipe, each, execution, name)
    paths: dict[str, dict[str, str]] = {each.candidate: {} for each in approved}
    for emitter, options in recipe.package.items():
        fitting = {name: each for name, each in deployables.items() if each.platform in options.runtimes}
        if fitting:
            emit(fitting.values(), options, folder / emitter)
        for candidate, entries in paths.items():
            if candidate in fitting:
                entries[emitter] = f"{emitter}/{fitting[candidate].name}"
                yield Packaged(candidate, emitter, str(folder / emitter))
            else:
                yield Note(f"{candidate}: no entry: {unserved(emitter, options, runtime_of(recipe, candidate))}")
    return paths


def runtime_of(recipe: Recipe, candidate: str) -> str:
    """Returns what runs a candidate where it is deployed."""
    target = TARGETS[recipe.targets[candidate]]
    return target.name if builds_engine(recipe.step(candidate).do) else target.runtime


def _is_served(recipe: Recipe, candidate: str) -> bool:
    return any(runtime_of(recipe, candidate) in options.runtimes for options in recipe.package.values())


def check_served(recipe: Recipe) -> None:
    """Refuses a recipe none of whose candidates any of its serving runtimes could run.

    Raises:
        UsageError: There is a `package` section, and nothing would ever be packaged.
    """
    if recipe.package and not any(_is_served(recipe, leaf) for leaf in recipe.leaves):
        runtimes = ", ".join(sorted({runtime_of(recipe, leaf) for leaf in recipe.leaves}))
        reasons = [unserved(emitter, options, runtimes) for emitter, options in recipe.package.items()]
        raise UsageError(
            f"package: {'; '.join(reasons)}",
            hint="leave `package` out, or add a candidate for the target onnxruntime-cpu",
        )


def check_tuned(recipe: Recipe) -> None:
    """Refuses a recipe that tunes what its serving runtimes cannot be told: another thing would run than was measured.

    Raises:
        UsageError: It does.
    """
    from optkit.passes.tune import Tune

    for leaf in recipe.leaves:
        tuned = {name for step in recipe.keeping([leaf]).steps if isinstance(step.do, Tune) for name in step.do.options}
        for emitter, options in recipe.package.items():
            unknown = sorted(tuned - options.session_options)
            if unknown and runtime_of(recipe, leaf) in options.runtimes:
                raise UsageError(
                    f"tune: {emitter} cannot be told about {', '.join(unknown)}, and would not serve what was measured",
                    hint=f"tune {', '.join(sorted(options.session_options)) or 'nothing'} alone",
                )


def unserved_leaves(recipe: Recipe) -> dict[str, str]:
    """Returns candidate → why no serving runtime of the recipe could run it, if it names any."""
    if not recipe.package:
        return {}
    return {
        leaf: "; ".join(unserved(name, options, runtime_of(recipe, leaf)) for name, options in recipe.package.items())
        for leaf in recipe.leaves
        if not _is_served(recipe, leaf)
    }


def unserved(emitter: str, options: Emitter, runtime: str) -> str:
    """Returns why a serving runtime gets no entry for a model that `runtime` runs."""
    return f"{emitter} runs models in {', '.join(sorted(options.runtimes))}, and this one is made for {runtime}"


def emit(deployables: Iterable[Deployable], emitter: Emitter, target: Path) -> None:
    """Writes the entries of one serving runtime: all of them or, if one fails, nothing."""
    with appearing(target) as draft:
        for deployable in deployables:
            emitter.emit(deployable, draft)


def deployable_of(recipe: Recipe, approved: Approved, execution: Execution, name: str) -> Deployable:
    """Returns what emitters need to know of an approved candidate."""
    from optkit.serving.emitter import Deployable

    model = execution.path(approved.candidate)
    names = class_names(recipe, execution.sources)
    return Deployable(name, model, interface.read(model), names, runtime_of(recipe, approved.candidate))


def class_names(recipe: Recipe, sources: Mapping[str, Source]) -> dict[str, tuple[str, ...]]:
    """Returns output → name per class index, for the outputs that a metric compares with classes."""
    from optkit.data.selection import class_names_of

    found = {
        use.metric.output: class_names_of(sources[DATA + use.data]) for use in recipe.metrics if use.metric.needs_labels
    }
    return {output: names for output, names in found.items() if names}


def _record_golden(
    recipe: Recipe, approved: Approved, execution: Execution, file: Path
) -> Generator[Event, None, None]:
    from optkit.serving.record import FILE, RecordGolden

    subject = candidate_of(recipe, approved.candidate)
    inputs = {"model": subject.reference}
    if "evaluation" in recipe.data:
        inputs["data"] = DATA + "evaluation"
    step = Step(f"requests for {approved.candidate}", RecordGolden(subject.runtime), inputs)
    yield from execution.execute(step)
    yield from execution.materialise(step.name)
    yield from execution.materialise(approved.candidate)
    copy_file(execution.path(step.name) / FILE, file)
