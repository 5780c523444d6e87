"""Steps as written into a chain of passes whose roles are all filled."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.core.overrides import STEP_KEYS, step_name
from optkit.core.recipe import Step
from optkit.core.validate import build, check_name, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optkit.core.passes import Host, Pass
    from optkit.core.recipe import Tables
    from optkit.core.yaml import Document, KeyPath

MODEL = "model"
IMPORT = "import"
DATA = "data."
ORIGINAL = "original"
"""The role of a pass that also reads the model as the recipe gives it, whatever steps came before."""
FILES = "files"
"""The role of a pass that reads files of the recipe's folder."""


@dataclass(slots=True)
class Linker:
    """Builds the steps of a recipe, noting every mistake in the document."""

    document: Document
    tables: Tables
    host: Host
    target: str
    data: frozenset[str]
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    broken_metrics: frozenset[str] = frozenset()
    folder: Path = Path()
    alone: bool = True
    """Whether `target` is the recipe's only one, so that a step may have its own."""
    steps: dict[str, Step] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)
    _kinds: dict[str, str] = field(default_factory=dict)

    def link(self, items: object, source_kind: str) -> None:
        """Links all steps; an ONNX source gets the step that checks and takes it in."""
        previous = MODEL
        self._kinds[MODEL] = source_kind
        if source_kind == "onnx-source":
            self._add(IMPORT, self.tables.passes[IMPORT](), MODEL, ("steps",))
            previous = IMPORT
        if not isinstance(items, list) or not items:
            if "steps" in self.document.data:
                self.document.problem(("steps",), "should be a list of passes", "for example [export, simplify]")
            return
        for index, item in enumerate(items):
            previous = self._item(item, ("steps", index), previous)

    def _item(self, item: Any, path: KeyPath, previous: str) -> str:  # noqa: ANN401  # raw YAML
        note = self.document.problem
        name, pass_name = step_name(item)
        if not pass_name:
            self._no_pass(item, path)
            return previous
        if pass_name not in self._passes():
            note(path if isinstance(item, str) else (*path, pass_name), f"unknown pass {pass_name!r}",
                 did_you_mean(pass_name, self._passes()), key=True)  # fmt: skip
            return previous
        if not check_name(name, self.document, (*path, "id")):
            return previous
        if name in self._kinds or name.startswith(DATA):
            note((*path, "id"), f"the id {name!r} is taken", "give each step its own id")
            return previous
        source = item.get("from", previous) if isinstance(item, dict) else previous
        if not isinstance(source, str) or source not in self._kinds:
            note((*path, "from"), f"no earlier step {source!r}", did_you_mean(str(source), self._kinds))
            source = previous
        options = item[pass_name] if isinstance(item, dict) else None
        options = {} if options is None else options
        do = build(self.tables.passes[pass_name], options, self.document, (*path, pass_name))
        if do is not None:
            self._add(name, do, source, (*path, pass_name))
        else:
            self._kinds[name] = self.tables.passes[pass_name].produces
        return name

    def _no_pass(self, item: Any, path: KeyPath) -> None:  # noqa: ANN401  # raw YAML
        """Notes what is wrong with a step that does not name one pass and nothing else."""
        known = [key for key in item if key in self._passes()] if isinstance(item, dict) else []
        if len(known) != 1:
            hint = f"one of {', '.join(self._passes())}"
            self.document.problem(path, "should name exactly one pass", hint)
            return
        for key in item.keys() - {*known, *STEP_KEYS}:
            self.document.problem((*path, key), "unknown key", did_you_mean(key, STEP_KEYS), key=True)

    def _passes(self) -> list[str]:
        return sorted(set(self.tables.passes) - {IMPORT})

    def _add(self, name: str, do: Pass, source: str, path: KeyPath) -> None:
        own = getattr(do, "target", None)
        if own and not self.alone:
            note = "goes without a target of its own: the recipe has several"
            self.document.problem((*path, "target"), note, "leave it out", key=True)
        target = own or self.targets.get(source, self.target)
        if target not in self.tables.targets:
            if target != self.target:
                hint = did_you_mean(str(target), self.tables.targets)
                self.document.problem((*path, "target"), f"unknown target {target!r}", hint)
            self._kinds[name] = do.produces
            return
        self._check_budgets(do, path)
        do = do.with_metrics(self.metrics).resolve(target, self.host)
        inputs = {role: self._reference(role, do, source, path) for role in sorted(do.active_roles())}
        if FILES in inputs:
            inputs[FILES] = f"{FILES}.{name}"
            self._kinds[inputs[FILES]] = FILES
            self._check_files(do, path)
        self._check_kinds(name, do, inputs, path)
        self.steps[name] = Step(name, do, {role: reference for role, reference in inputs.items() if reference})
        self.targets[name] = target
        self._kinds[name] = do.produces

    def _reference(self, role: str, do: Pass, source: str, path: KeyPath) -> str:
        if role in {MODEL, ORIGINAL}:
            return source if role == MODEL else MODEL
        if role == FILES:
            return ""
        if role in self.data:
            return DATA + role
        if role not in do.optional_roles:
            self.document.problem(path, f"needs data.{role}", f"add {role} under data", key=True)
        return ""

    def _check_files(self, do: Pass, path: KeyPath) -> None:
        for name in do.files():
            file = (self.folder / name).resolve()
            if not file.is_relative_to(self.folder.resolve()):
                self.document.problem(path, f"{name} is outside the recipe's folder", "copy it there", key=True)
            elif not file.is_file():
                self.document.problem(path, f"no such file: {self.folder / name}", key=True)

    def _check_budgets(self, do: Pass, path: KeyPath) -> None:
        for name in do.budgets():
            if name not in self.metrics and name not in self.broken_metrics:
                hint = did_you_mean(name, self.metrics) or "add it under metrics"
                self.document.problem((*path, "budget", name), "no such metric", hint, key=True)
            elif name in self.metrics and self._runs_code(self.metrics[name]["kind"]):
                hint = "gate it, and give the budget a metric of another kind"
                self.document.problem((*path, "budget", name), "runs code that steps do not have", hint, key=True)

    def _runs_code(self, metric: str) -> bool:
        return bool(getattr(self.tables.metrics[metric], "code", ""))

    def _check_kinds(self, name: str, do: Pass, inputs: dict[str, str], path: KeyPath) -> None:
        for role, reference in inputs.items():
            kind = "dataset" if reference.startswith(DATA) else self._kinds.get(reference, "")
            if reference and kind not in do.roles[role]:
                takes = " or ".join(sorted(do.roles[role]))
                self.document.problem(path, f"{name} takes {takes} as {role}, but {reference} is {kind}", key=True)
