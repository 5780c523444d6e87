"""One chain of steps for several targets: a single one as long as the targets agree, then a branch for each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optkit.core.linking import MODEL
from optkit.core.passes import DEFAULT_TARGET
from optkit.core.validate import check_name, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optkit.core.linking import Linker
    from optkit.core.recipe import Step, Tables
    from optkit.core.yaml import Document

AUTO = "auto"
"""Stands for every target whose latency can be measured."""


def targets_of(document: Document, tables: Tables) -> tuple[str, ...]:
    """Returns what the candidates of a recipe are made for, noting every mistake; at least one."""
    data, note = document.data, document.problem
    if "targets" in data and "target" in data:
        note(("targets",), "goes without target", "name all of them here", key=True)
    if "targets" in data:
        return _listed(data["targets"], document, tables)
    target = data.get("target", DEFAULT_TARGET)
    if target == AUTO:
        return tuple(name for name, known in tables.targets.items() if known.timed)
    if not check_name(target, document, ("target",)):
        return (DEFAULT_TARGET,)
    if target not in tables.targets:
        note(("target",), f"unknown target {target!r}", did_you_mean(str(target), [*tables.targets, AUTO]))
    return (str(target),)


def _listed(names: Any, document: Document, tables: Tables) -> tuple[str, ...]:  # noqa: ANN401  # raw YAML
    if not isinstance(names, list) or not names:
        document.problem(("targets",), "should be a list of targets", "for example [onnxruntime-cpu, openvino-cpu]")
        return (DEFAULT_TARGET,)
    for index, name in enumerate(names):
        if str(name) not in tables.targets:
            hint = "write target: auto" if name == AUTO else did_you_mean(str(name), tables.targets)
            document.problem(("targets", index), f"unknown target {name!r}", hint)
        if name in names[:index]:
            document.problem(("targets", index), f"{name!r} is listed twice", "name each target once")
    return tuple(dict.fromkeys(map(str, names)))


def join(linkers: Sequence[Linker]) -> tuple[dict[str, Step], dict[str, str]]:
    """Returns the steps of all targets, and step → target.

    A step that is equal for all of them, and so are those before it, is there once, under its own name. The others, and
    the last one of each chain in any case, are there once for each target, which their names then end in.

    Args:
        linkers: The same recipe, linked for each target.
    """
    if len(linkers) == 1:
        return linkers[0].steps, linkers[0].targets
    shared = _shared([linker.steps for linker in linkers])
    steps = {name: linkers[0].steps[name] for name in shared}
    targets = {name: linkers[0].targets[name] for name in shared}
    for linker in linkers:
        own = {name: f"{name}-{linker.target}" for name in linker.steps if name not in shared}
        for name, new in own.items():
            step = linker.steps[name]
            inputs = {role: own.get(reference, reference) for role, reference in step.inputs.items()}
            if new in steps or new in linker.steps:
                linker.document.problem(("steps",), f"the id {new!r} is taken", "it is needed for one of the targets")
            steps[new] = replace(step, name=new, inputs=inputs)
            targets[new] = linker.targets[name]
    return steps, targets


def _shared(chains: Sequence[Mapping[str, Step]]) -> list[str]:
    first = chains[0]
    continued = {step.inputs.get(MODEL) for step in first.values()}
    shared: list[str] = []
    for name, step in first.items():
        settled = all(reference in shared or reference not in first for reference in step.inputs.values())
        if name in continued and settled and all(chain.get(name) == step for chain in chains):
            shared.append(name)
    return shared
