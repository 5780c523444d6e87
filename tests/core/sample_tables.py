"""Small tables for recipes: real subclasses, with roles and options like those of the real passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from optkit.core.errors import UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.passes import Host, Pass, Work
from optkit.core.recipe import Tables, Target
from optkit.core.schema import STRICT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.recipe import Task

ONNX, DATASET = frozenset({"onnx"}), frozenset({"dataset"})


@dataclass(frozen=True)
class Idle(Pass):
    """Does nothing; recipes here are only parsed."""

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Import(Idle):
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"onnx-source"})}
    produces: ClassVar[str] = "onnx"


@dataclass(frozen=True)
class Export(Idle):
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"torch", "program"})}
    produces: ClassVar[str] = "onnx"

    opset: int = 18


@dataclass(frozen=True)
class Simplify(Idle):
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": ONNX}
    produces: ClassVar[str] = "onnx"


@dataclass(frozen=True)
class Smooth:
    """Options within options."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    strength: float = 0.5


@dataclass(frozen=True)
class Quantize(Idle):
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": ONNX, "calibration": DATASET}
    produces: ClassVar[str] = "onnx"

    method: Literal["static", "dynamic"] = "static"
    ranges: Literal["minmax", "mse", "kl"] = "minmax"
    target: str | None = None
    reduce_range: bool | None = None
    smooth: Smooth | None = None
    keep: tuple[str, ...] = ()
    bits: int | tuple[int, ...] = 8

    def resolve(self, target: str, host: Host) -> Self:
        reduce = "avx512_vnni" not in host.flags if self.reduce_range is None else self.reduce_range
        return replace(self, target=target, reduce_range=reduce)

    def active_roles(self) -> frozenset[str]:
        return frozenset({"model"} if self.method == "dynamic" else {"model", "calibration"})


@dataclass(frozen=True)
class Distill(Idle):
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"torch"}), "train": DATASET}
    optional_roles: ClassVar[frozenset[str]] = frozenset({"train"})
    produces: ClassVar[str] = "torch"


@dataclass(frozen=True)
class Accuracy:
    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    output: str
    top: int = 1


@dataclass(frozen=True)
class Triton:
    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    max_queue_ms: float = 1.0


def describe(folder: Path, task: Task) -> Interface:
    if task != "text-classification":
        raise UsageError(f"{folder.name} has no head for {task}", hint="it can do text-classification")
    ids = Tensor("input_ids", "int64", ("batch", "sequence"), (0, 99))
    return Interface(
        (ids,), (Tensor("logits", "unknown", ("batch", "...")),), {"batch": Dim(), "sequence": Dim(1, 4, 9)}
    )


TABLES = Tables(
    passes={"import": Import, "export": Export, "simplify": Simplify, "quantize": Quantize, "distill": Distill},
    metrics={"accuracy": Accuracy},
    emitters={"triton": Triton},
    describe=describe,
    targets={
        "onnxruntime-cpu": Target("onnxruntime-cpu", "onnxruntime"),
        "tensorrt": Target("tensorrt", "onnxruntime", timed=False, why_not="no GPU here"),
    },
)

GOOD = """\
name: digits
model:
  factory: model.py:build
  weights: weights.safetensors
  inputs: {image: {dtype: float32, shape: [batch, 1, 28, 28]}}
  outputs: [logits]
  dims: {batch: {min: 1, opt: 8, max: 64}}
data:
  calibration: {dataset: images, split: train, samples: 256}
  evaluation: {dataset: images, split: test}
metrics:
  top1: {kind: accuracy, output: logits}
target: onnxruntime-cpu
steps: [export, simplify, quantize: {ranges: mse}]
gates:
  top1: {max_drop: 1e-2}
  latency: {min_speedup: 1.5}
  size: {max_ratio: 0.4}
measure: {threads: 1}
package: {triton: {}}
"""
