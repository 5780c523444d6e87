"""The recipe: what the user asks for, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from optkit.core.gates import Gate
from optkit.core.interface import Dim  # noqa: TC001  # pydantic reads the annotations
from optkit.core.schema import STRICT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from optkit.core.interface import Interface
    from optkit.core.objective import Objective
    from optkit.core.passes import Pass

Dtype = Literal[
    "float16", "float32", "float64",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
]  # fmt: skip

Task = Literal[
    "feature-extraction", "text-classification", "token-classification", "question-answering", "fill-mask",
    "causal-lm", "causal-lm-with-past", "image-classification", "audio-classification",
    "seq2seq-encoder", "seq2seq-decoder",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input of the model."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    dtype: Dtype
    """Element type."""
    shape: tuple[int | str, ...]
    """Sizes in order; a name stands for a dynamic dimension, `batch` for the axis of samples."""
    range: tuple[float, float] | None = None
    """Inclusive bounds of the values, where they matter (token ids, masks)."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Where the model comes from. Exactly one of factory, onnx, program and huggingface is given."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    factory: str | None = None
    """`file.py:callable` that returns an nn.Module."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the factory."""
    weights: str | None = None
    """A .safetensors file, or a .pt/.pth file that is read with weights_only=True."""
    prepare: str = ""
    """Command that makes the files above where the recipe does not carry them; named if one is missing."""
    code: tuple[str, ...] | None = None
    """Files and folders that the factory needs; by default every .py file in the recipe's folder."""
    onnx: str | None = None
    """An ONNX file."""
    program: str | None = None
    """A .pt2 exported program; its loader can run code, so it needs `trust: true`."""
    trust: bool = False
    """Says that a .pt2 comes from somebody you trust."""
    huggingface: str | None = None
    """A local Hugging Face folder: config.json and safetensors. Nothing is downloaded, and no code in it runs."""
    task: Task | None = None
    """What the model of a Hugging Face folder is for: decides the head, the inputs and the outputs."""
    inputs: dict[str, InputSpec] = field(default_factory=dict)
    """Inputs by name, in the order in which the model takes them."""
    outputs: tuple[str, ...] | dict[str, tuple[int | str, ...]] = ()
    """Output names in order, or name → shape."""
    dims: dict[str, Dim] = field(default_factory=dict)
    """Sizes of each dynamic dimension."""


@dataclass(frozen=True, slots=True)
class DataSpec:
    """A part of a dataset."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    dataset: str
    """Folder with a dataset.yaml, or an .npz file whose arrays are named as the inputs (and `labels`)."""
    split: str | None = None
    """Name of a split."""
    samples: int | None = None
    """How many samples, evenly spread; all by default."""


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """In which settings the original and every candidate are also run: all combinations of these."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    batches: tuple[int, ...] = ()
    """Samples per run; by default the smallest, the tuned and the largest."""
    threads: tuple[int, ...] = (1, 2)
    """Threads of each instance."""
    instances: tuple[int, ...] = (1, 2)
    """Processes that run the model at the same time."""
    seconds: float = 30.0
    """Time budget per model, loading included."""


@dataclass(frozen=True, slots=True)
class MeasureSpec:
    """How latency is measured."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    threads: int = 2
    """Threads of every session."""
    seconds: float = 25.0
    """Time budget per candidate."""
    precision: float = 0.02
    """Stop when half of the ratio's interval is narrower than this fraction."""
    sweep: SweepSpec | None = None
    """Also show throughput against latency in other settings; no gate looks at them."""


@dataclass(frozen=True, slots=True)
class MetricUse:
    """A named metric and the data that it is computed on."""

    name: str
    kind: str
    metric: Any
    data: str


@dataclass(frozen=True, slots=True)
class Target:
    """What a candidate is made for.

    Attributes:
        name: As written in recipes.
        runtime: Runtime that runs the candidate; accuracy is measured with it.
        timed: Whether latency on this target can be measured with that runtime.
        why_not: Why latency is not measured.
    """

    name: str
    runtime: str
    timed: bool = True
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the plan: a pass and where each of its roles comes from."""

    name: str
    do: Pass
    inputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A checked recipe: every reference resolves, every kind fits."""

    path: Path
    name: str
    model: ModelSpec
    data: Mapping[str, DataSpec]
    metrics: tuple[MetricUse, ...]
    steps: tuple[Step, ...]
    gates: Mapping[str, Gate]
    measure: MeasureSpec
    package: Mapping[str, Any]
    targets: Mapping[str, str]
    """Step → target: the recipe's own, or the one that the step or an ancestor overrides."""
    alternatives: tuple[str, ...] = ()
    """The targets that it chooses among; empty if it has one."""
    objective: Objective | None = None
    """What it chooses by; None if every candidate that holds its gates is packaged."""

    @property
    def folder(self) -> Path:
        """Paths in the recipe are relative to this folder."""
        return self.path.parent

    @property
    def leaves(self) -> tuple[str, ...]:
        """Steps that no other step continues: the candidates."""
        continued = {step.inputs.get("model") for step in self.steps}
        return tuple(step.name for step in self.steps if step.name not in continued)

    def step(self, name: str) -> Step:
        """Returns the step called `name`, which exists."""
        return next(step for step in self.steps if step.name == name)

    def leaves_of(self, step: str) -> tuple[str, ...]:
        """Returns the candidates that a step leads to."""
        return tuple(leaf for leaf in self.leaves if any(each.name == step for each in self.keeping([leaf]).steps))

    def keeping(self, leaves: Collection[str]) -> Recipe:
        """Returns the recipe with some of its candidates only, and the steps that lead to them."""
        kept, rest = set(leaves), [step for step in self.steps if step.name in leaves]
        steps = {step.name: step for step in self.steps}
        while rest:
            before = [steps[name] for name in rest.pop().inputs.values() if name in steps and name not in kept]
            kept.update(step.name for step in before)
            rest += before
        return replace(self, steps=tuple(step for step in self.steps if step.name in kept))

    def gates_of(self, leaf: str) -> dict[str, Gate]:
        """Returns what a candidate is judged by: the recipe's gates, and the budgets of the steps that made it.

        A budget counts as the gate's `max_drop` where the recipe does not set one.
        """
        limits: dict[str, float] = {}
        steps = {step.name: step for step in self.steps}
        step = steps.get(leaf)
        while step is not None:
            for name, limit in step.do.budgets().items():
                limits[name] = min(limit, limits.get(name, limit))
            step = steps.get(step.inputs.get("model", ""))
        own = {name: self.gates.get(name, Gate()) for name in limits}
        implied = {name: replace(gate, max_drop=limits[name]) for name, gate in own.items() if gate.max_drop is None}
        return {**self.gates, **implied}

    @property
    def reference(self) -> str:
        """The first step, whose fp32 ONNX is the yardstick for sizes."""
        return self.steps[0].name


@dataclass(frozen=True, slots=True)
class Tables:
    """What recipes may name: the open ends of the core, filled by `optkit.workflow`."""

    passes: Mapping[str, type[Pass]]
    metrics: Mapping[str, type]
    emitters: Mapping[str, type]
    targets: Mapping[str, Target]
    describe: Callable[[Path, Task], Interface]
    """(Hugging Face folder, task) → what the model takes and returns; UsageError if it cannot serve the task."""
