"""A recipe file into a `Recipe`, or all of its mistakes at once."""

from __future__ import annotations

import difflib
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from optkit.core import yaml
from optkit.core.branching import join, targets_of
from optkit.core.errors import UsageError
from optkit.core.gates import BUILT_IN_SUBJECTS, RULES, Gate
from optkit.core.interface import BATCH
from optkit.core.linking import Linker
from optkit.core.objective import Objective
from optkit.core.overrides import apply_override
from optkit.core.recipe import DataSpec, InputSpec, MeasureSpec, MetricUse, ModelSpec, Recipe, SweepSpec, Task
from optkit.core.validate import build, check_name, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optkit.core.interface import Dim, Interface
    from optkit.core.passes import Host
    from optkit.core.recipe import Tables
    from optkit.core.yaml import Document, KeyPath

T = TypeVar("T")
SECTIONS = (
    "name", "model", "data", "metrics", "target", "targets", "objective", "steps", "gates", "measure", "package",
)  # fmt: skip
MODEL_FILES = ("factory", "weights", "onnx", "program")
MODEL_KINDS = ("factory", "onnx", "program", "huggingface")
REQUIRED = ("name", "model", "steps")


def parse_recipe(path: Path, tables: Tables, host: Host, overrides: Sequence[str] = ()) -> Recipe:
    """Reads, overrides and checks a recipe.

    Args:
        path: The recipe file.
        tables: Passes, metrics, emitters and targets that it may name.
        host: The machine planned for; defaults that depend on it are filled in.
        overrides: `path=value` texts, as given to `--set`.

    Raises:
        RecipeError: With every mistake that was found.
    """
    document = yaml.load(path)
    if not isinstance(document.data, dict):
        document.problem((), "a recipe is a mapping of sections")
        document.check()
    for text in overrides:
        apply_override(document, text)
    recipe = _Parser(document, tables, host, path.parent).recipe(path)
    document.check()
    return recipe


@dataclass(slots=True)
class _Parser:
    document: Document
    tables: Tables
    host: Host
    folder: Path

    def recipe(self, path: Path) -> Recipe:
        document, data = self.document, self.document.data
        for key in data:
            if key not in SECTIONS:
                document.problem((key,), "unknown section", did_you_mean(key, SECTIONS), key=True)
        for key in REQUIRED:
            if key not in data:
                document.problem((key,), "is missing")
        name = self._text("name", "model")
        targets = targets_of(document, self.tables)
        model = self._model()
        parts = self._data()
        metrics = self._metrics()
        measure = self._measure(model)
        self.host = replace(self.host, threads=measure.threads)
        steps, step_targets = join([self._linked(target, metrics, several=len(targets) > 1) for target in targets])
        return Recipe(
            path=path,
            name=name,
            model=model,
            data=parts,
            metrics=metrics,
            alternatives=targets if len(targets) > 1 else (),
            objective=self._objective(targets),
            steps=tuple(steps.values()),
            gates=self._gates(metrics),
            measure=measure,
            package=self._package(),
            targets=step_targets,
        )

    def _linked(self, target: str, metrics: Sequence[MetricUse], *, several: bool) -> Linker:
        linker = Linker(
            self.document, self.tables, self.host, target, frozenset(self._section("data")),
            metrics={use.name: {"kind": use.kind, **asdict(use.metric)} for use in metrics},
            broken_metrics=frozenset(self._section("metrics")) - {use.name for use in metrics},
            folder=self.folder,
            alone=not several,
        )  # fmt: skip
        linker.link(self.document.data.get("steps"), _source_kind(self.document.data.get("model")))
        return linker

    def _objective(self, targets: Sequence[str]) -> Objective | None:
        """Returns what the recipe says, else the default where it chooses among targets."""
        value = self.document.data.get("objective")
        if value is None:
            return Objective() if len(targets) > 1 else None
        found = self._built(Objective, {"kind": value} if isinstance(value, str) else value, ("objective",))
        limit = found.max_latency_ms if found else None
        if found and limit is not None:
            if found.kind != "max_throughput":
                place = ("objective", "max_latency_ms")
                self.document.problem(place, f"does not go with {found.kind}", "use kind: max_throughput", key=True)
            if not limit > 0:
                self.document.problem(("objective", "max_latency_ms"), f"should be above 0, not {limit:g}")
        return found

    def _text(self, key: str, default: str) -> str:
        value = self.document.data.get(key, default)
        return str(value) if check_name(value, self.document, (key,)) else default

    def _built(self, kind: type[T], data: object, path: KeyPath) -> T | None:
        return build(kind, data, self.document, path)

    def _section(self, key: str) -> dict[str, Any]:
        value = self.document.data.get(key)
        if value is None or isinstance(value, dict):
            return value or {}
        self.document.problem((key,), "should be a mapping of names")
        return {}

    def _model(self) -> ModelSpec:
        model = self._built(ModelSpec, self.document.data.get("model", {}), ("model",))
        if model is None or "model" not in self.document.data:
            return ModelSpec()
        note = self.document.problem
        sources = [kind for kind in MODEL_KINDS if getattr(model, kind) is not None]
        if len(sources) != 1:
            known = f"{', '.join(MODEL_KINDS[:-1])} and {MODEL_KINDS[-1]}"
            note(("model",), f"needs exactly one of {known}", f"has {', '.join(sources) or 'none'}")
        if model.factory is not None and not _is_factory(model.factory):
            note(("model", "factory"), "should read file.py:callable", "for example model.py:build")
        if model.program is not None and not model.trust:
            note(("model", "program"), "loading a .pt2 can run code", "add `trust: true` if you trust who made it")
        if model.huggingface is not None:
            model = self._huggingface(model)
        elif model.task is not None:
            note(("model", "task"), "only a huggingface model has a task", key=True)
        if model.onnx is None and model.huggingface is None and not model.inputs:
            note(("model", "inputs"), "is missing", "name each input with its dtype and shape")
        for key in MODEL_FILES:
            self._exists(getattr(model, key), ("model", key), model.prepare)
        for index, entry in enumerate(model.code or ()):
            self._exists(entry, ("model", "code", index))
        self._outputs(model)
        self._dims(model)
        return model

    def _huggingface(self, model: ModelSpec) -> ModelSpec:
        """Returns the model with what its folder and task say about it; what the recipe says goes first."""
        note, place = self.document.problem, ("model", "huggingface")
        for key in ("weights", "arguments", "code"):
            if getattr(model, key):
                note(("model", key), "does not go with huggingface: the folder holds all of it", key=True)
        folder = self.folder / str(model.huggingface)
        if not folder.is_dir():
            note(place, f"no such folder: {folder}", model.prepare and f"`{model.prepare}` makes it")
        elif model.task is None:
            note(("model", "task"), "is missing", f"one of {', '.join(get_args(Task))}")
        else:
            try:
                return self._described(model, self.tables.describe(folder, model.task))
            except UsageError as error:
                note(place, error.message, error.hint)
        return model

    def _described(self, model: ModelSpec, found: Interface) -> ModelSpec:
        derived = {tensor.name: InputSpec(tensor.dtype, tensor.shape, tensor.range) for tensor in found.inputs}  # type: ignore[arg-type]  # a dtype's name
        inputs = model.inputs or derived
        if not inputs:
            hint = "name each input with its dtype and shape"
            self.document.problem(("model", "inputs"), "cannot be derived for this architecture", hint)
        used = {size for spec in inputs.values() for size in spec.shape}
        dims = {name: dim for name, dim in found.dims.items() if name in used}
        outputs = model.outputs or tuple(tensor.name for tensor in found.outputs)
        return replace(model, inputs=inputs, outputs=outputs, dims={**dims, **model.dims})

    def _outputs(self, model: ModelSpec) -> None:
        names = list(model.outputs)
        for index, name in enumerate(names):
            path = ("model", "outputs", name if isinstance(model.outputs, dict) else index)
            if name in names[:index]:
                self.document.problem(path, f"the output {name!r} is listed twice", "give each its own name")
            if name in model.inputs and model.onnx is None:
                self.document.problem(path, f"{name!r} is the name of an input", "a graph needs another name for it")

    def _exists(self, entry: str | None, path: KeyPath, prepare: str = "") -> None:
        """Notes a file (or folder, where one may stand) that is not there; a factory's callable is cut off.

        `prepare` is the command that would make it.
        """
        if entry is None or (path[-1] == "factory" and not _is_factory(entry)):
            return
        file = entry.rpartition(":")[0] if path[-1] == "factory" else entry
        try:
            found = (self.folder / file).is_file() or (path[-1] not in MODEL_FILES and (self.folder / file).is_dir())
        except OSError as error:  # a name that is too long, a folder that may not be searched
            self.document.problem(path, f"cannot be read: {self.folder / file}: {error.strerror}")
            return
        if not found:
            self.document.problem(path, f"no such file: {self.folder / file}", self._near(file, prepare))

    def _near(self, file: str, prepare: str) -> str:
        folder = (self.folder / file).parent
        try:
            siblings = [entry.name for entry in folder.iterdir()]
        except OSError:
            siblings = []
        near = difflib.get_close_matches(Path(file).name, siblings, n=1)
        if near:
            return f"did you mean {near[0]!r}?"
        return f"`{prepare}` makes it" if prepare else "paths are relative to the recipe"

    def _dims(self, model: ModelSpec) -> None:
        note = self.document.problem
        used = {size for spec in model.inputs.values() for size in spec.shape if isinstance(size, str)}
        for name, dim in model.dims.items():
            if not 1 <= dim.min <= dim.opt <= dim.max:
                note(("model", "dims", name), f"needs 1 ≤ min ≤ opt ≤ max, has {dim.min}, {dim.opt}, {dim.max}")
            if model.inputs and name not in used:
                note(("model", "dims", name), "no input has this dimension", did_you_mean(name, used), key=True)
        for name, spec in model.inputs.items():
            if spec.range is not None and not spec.range[0] <= spec.range[1]:
                note(("model", "inputs", name, "range"), f"needs low ≤ high, has {spec.range[0]:g}, {spec.range[1]:g}")
            for axis, size in enumerate(spec.shape):
                place = ("model", "inputs", name, "shape", axis)
                if isinstance(size, str) and size not in model.dims:
                    note(place, f"{size!r} is not in model.dims", f"add {size}: {{min: 1, opt: 8, max: 64}} there")
                if isinstance(size, int) and size < 1:
                    note(place, f"a size is at least 1, not {size}")

    def _data(self) -> dict[str, DataSpec]:
        parts: dict[str, DataSpec] = {}
        for name, value in self._section("data").items():
            check_name(name, self.document, ("data", name), key=True)
            spec = self._built(DataSpec, value, ("data", name))
            if spec is not None:
                parts[name] = spec
                self._exists(spec.dataset, ("data", name, "dataset"))
                if spec.samples is not None and spec.samples < 1:
                    self.document.problem(("data", name, "samples"), f"should be at least 1, not {spec.samples}")
        return parts

    def _metrics(self) -> tuple[MetricUse, ...]:
        uses = [self._metric(name, value) for name, value in self._section("metrics").items()]
        return tuple(use for use in uses if use is not None)

    def _metric(self, name: str, value: object) -> MetricUse | None:
        parts = self._section("data")
        path, note = ("metrics", name), self.document.problem
        check_name(name, self.document, path, key=True)
        if name in BUILT_IN_SUBJECTS:
            note(path, f"{name!r} is measured anyway", "give the metric another name", key=True)
        if not isinstance(value, dict) or "kind" not in value:
            note(path, "needs a kind", f"one of {', '.join(sorted(self.tables.metrics))}")
            return None
        options = {key: option for key, option in value.items() if key not in {"kind", "data"}}
        kind, data = str(value["kind"]), str(value.get("data", "evaluation"))
        if kind not in self.tables.metrics:
            note((*path, "kind"), f"unknown metric {kind!r}", did_you_mean(kind, self.tables.metrics))
            return None
        if data not in parts:
            note((*path, "data"), f"there is no data.{data}", did_you_mean(data, parts) or "add it under data")
        metric = self._built(self.tables.metrics[kind], options, path)
        return None if metric is None else MetricUse(name, kind, self._with_code(metric, path), data)

    def _with_code(self, metric: Any, path: KeyPath) -> Any:  # noqa: ANN401  # of a class that the tables hold
        """Returns the metric with the file of its code, if it runs any, where it lies."""
        key = getattr(metric, "code", "")
        if not key:
            return metric
        text = getattr(metric, key)
        if _is_factory(text):
            self._exists(text.rpartition(":")[0], (*path, key))
        else:
            self.document.problem((*path, key), "should read file.py:callable", "for example metric.py:score")
        return replace(metric, **{key: str(self.folder / text)})

    def _gates(self, metrics: Sequence[MetricUse]) -> dict[str, Gate]:
        gates: dict[str, Gate] = {}
        written = set(self._section("metrics"))
        for name, value in self._section("gates").items():
            path = ("gates", name)
            if name not in written and name not in BUILT_IN_SUBJECTS:
                hint = did_you_mean(name, {*(use.name for use in metrics), *BUILT_IN_SUBJECTS})
                self.document.problem(path, "no such metric", hint, key=True)
            gate = self._built(Gate, value, path)
            if gate is not None:
                self._gate_rules(name, gate)
                gates[name] = gate
        return gates

    def _slice_gates(self, name: str, gate: Gate) -> None:
        for slicing, part in gate.each.items():
            path = ("gates", name, "each", slicing)
            check_name(slicing, self.document, path, key=True)
            if not part.rules():
                self.document.problem(path, "demands nothing", "add max_drop or min or max")
            for rule, limit in part.rules().items():
                if limit != limit:  # noqa: PLR0124  # NaN
                    self.document.problem((*path, rule), "a limit cannot be NaN")

    def _gate_rules(self, name: str, gate: Gate) -> None:
        subject = name if name in BUILT_IN_SUBJECTS else "metric"
        if gate.each and subject != "metric":
            self.document.problem(("gates", name, "each"), f"{name} has no slices", "only metrics do", key=True)
        self._slice_gates(name, gate)
        fitting = [rule for rule in RULES if subject in RULES[rule].subjects]
        for rule, limit in gate.rules().items():
            if rule not in fitting:
                self.document.problem(
                    ("gates", name, rule), f"does not apply to {name}", f"use {' or '.join(fitting)}", key=True
                )
            if limit != limit:  # noqa: PLR0124  # NaN
                self.document.problem(("gates", name, rule), "a limit cannot be NaN")
        if not gate.rules() and not gate.each:
            self.document.problem(("gates", name), "demands nothing", f"add {' or '.join(fitting)}")

    def _package(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for name, value in self._section("package").items():
            path = ("package", name)
            if name not in self.tables.emitters:
                hint = did_you_mean(name, self.tables.emitters)
                self.document.problem(path, "unknown serving runtime", hint, key=True)
                continue
            options[name] = self._built(self.tables.emitters[name], {} if value is None else value, path)
        return options

    def _measure(self, model: ModelSpec) -> MeasureSpec:
        spec = self._built(MeasureSpec, self._section("measure"), ("measure",)) or MeasureSpec()
        if spec.threads < 1:
            self.document.problem(("measure", "threads"), f"should be at least 1, not {spec.threads}")
        for key in ("seconds", "precision"):
            if not 0 < getattr(spec, key) < math.inf:
                self.document.problem(("measure", key), f"should be a number above 0, not {getattr(spec, key):g}")
        self._check_sweep(spec.sweep, model.dims.get(BATCH))
        return spec

    def _check_sweep(self, spec: SweepSpec | None, batch: Dim | None) -> None:
        if spec is None:
            return
        if not 0 < spec.seconds < math.inf:
            self.document.problem(("measure", "sweep", "seconds"), f"should be a number above 0, not {spec.seconds:g}")
        for key in ("batches", "threads", "instances"):
            found = getattr(spec, key)
            if (not found and key != "batches") or any(each < 1 for each in found):
                self.document.problem(("measure", "sweep", key), "should be whole numbers above 0, such as [1, 2]")
        if batch is not None and any(not batch.min <= each <= batch.max for each in spec.batches):
            text = f"the model takes batches of {batch.min} to {batch.max}"
            self.document.problem(("measure", "sweep", "batches"), text, "`model.dims.batch` says so")


def _is_factory(text: str) -> bool:
    file, _, function = text.rpartition(":")
    return file.endswith(".py") and function.isidentifier()


def _source_kind(model: object) -> str:
    """Returns the kind of the model as written, so that a mistake elsewhere in it is not noted again for the steps."""
    given = {key for key, value in model.items() if value is not None} if isinstance(model, dict) else set()
    if "onnx" in given:
        return "onnx-source"
    return "program" if "program" in given else "torch"
