"""Made-up runs: one approved, one refused in every way that a gate knows."""

from __future__ import annotations

import os
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from optkit.core.gates import Estimate, Gate, SliceGate, judge
from optkit.core.results import (
    BaselineResult,
    CandidateResult,
    Interval,
    MetricResult,
    OperatorTime,
    Profile,
    Provenance,
    RunReport,
    SliceResult,
    StepResult,
    SweepPoint,
    Timing,
)

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parents[1] / "golden" / "report"
DROP = Estimate(0.002, -0.0015, 0.0055)
SPEEDUP = Estimate(3.1, 2.9, 3.3)


def timing(runtime: str, p50: float, memory: int) -> Timing:
    return Timing(
        runtime=runtime,
        threads=2,
        sizes={"batch": 8},
        p50_ms=p50,
        p90_ms=p50 * 1.25,
        p99_ms=None,
        samples_ms=((p50, p50 * 1.25), (p50 * 0.9, p50)),
        throughput={1: 500.0 / p50, 16: 8000.0 / p50},
        load_seconds=0.25,
        first_ms=p50 * 4,
        peak_rss_bytes=memory,
        profile=profile(p50, "aten::conv2d" if runtime == "torch" else "QLinearConv"),
        starts=7,
        measuring_seconds=21.5,
    )


def profile(ms: float, operator: str) -> Profile:
    """Two convolutions that take 60 % and 30 %, and a conversion that takes the rest."""
    arithmetic: Literal["int8", "other"] = "int8" if operator == "QLinearConv" else "other"
    convolutions = (
        OperatorTime("features.0|*", operator, arithmetic, 1, 0.6 * ms, 0.6),
        OperatorTime("features.1", operator, arithmetic, 1, 0.3 * ms, 0.3),
    )
    conversion = OperatorTime("QuantizeLinear", "QuantizeLinear", "conversion", 2, 0.1 * ms, 0.1)
    both = OperatorTime("", operator, arithmetic, 2, 0.9 * ms, 0.9)
    int8 = 0.9 if arithmetic == "int8" else 0.0
    return Profile(30, ms, int8, 0.1, 3, (*convolutions, conversion), (both, replace(conversion, name="")))


def top1(drop: Estimate = DROP) -> MetricResult:
    return MetricResult(
        name="top1",
        kind="accuracy",
        data="evaluation",
        samples=1000,
        baseline=Interval(0.984, 0.9742, 0.9902),
        candidate=Interval(0.984 - drop.value, 0.9718, 0.9888),
        drop=drop,
    )


def candidate(name: str = "quantize") -> CandidateResult:
    gates = {
        "top1": (Gate(max_drop=0.01), {"max_drop": DROP}),
        "latency": (Gate(min_speedup=1.5), {"min_speedup": SPEEDUP}),
        "size": (Gate(max_ratio=0.4), {"max_ratio": Estimate.exact(0.2734375)}),
    }
    return CandidateResult(
        name=name,
        target="onnxruntime-cpu",
        digest="c" * 64,
        size_bytes=448_000,
        size_ratio=0.2734375,
        metrics=(
            top1(),
            MetricResult("cosine", "cosine", "evaluation", 1000, None, Interval(0.9991, 0.9987, 0.9994), DROP),
        ),
        timing=timing("onnxruntime", 0.5, 96 << 20),
        speedup=SPEEDUP,
        untimed="",
        verdicts=tuple(verdict for gate, (rules, found) in gates.items() for verdict in judge(gate, rules, found)),
        approved=True,
        packages={"triton": "triton"},
    )


@pytest.fixture
def approved() -> RunReport:
    """Every gate holds; one candidate; packaged for Triton."""
    return approved_run()


def approved_run() -> RunReport:
    """Returns a new one of the fixture's."""
    return RunReport(
        version=1,
        recipe="recipe.yaml",
        recipe_sha256="a" * 64,
        started="2026-01-02T03:04:05Z",
        seconds=83.25,
        outcome="approved",
        baseline=BaselineResult("mnist-cnn", "torch", "b" * 64, 1_638_400, timing("torch", 1.55, 310 << 20)),
        candidates=(candidate(),),
        steps=(
            StepResult("export", "export", {}, {"model": "b" * 64}, "e" * 64, "1" * 64, True, 12.5, 700 << 20, {}),  # noqa: FBT003  # cached
            StepResult(
                name="quantize",
                pass_name="quantize",  # noqa: S106  # no password
                options={"ranges": "mse", "percentile": 99.9},
                inputs={"model": "e" * 64, "calibration": "d" * 64},
                digest="c" * 64,
                key="2" * 64,
                cached=False,
                seconds=3.25,
                peak_rss_bytes=512 << 20,
                notes={"nodes": 17, "worst": {"sqnr_db": [31.5, 28.25]}},
            ),
        ),
        provenance=Provenance(
            versions={"optkit": "0.1.0", "torch": "2.13.0"},
            python="3.11.9",
            platform="Linux-6.1-x86_64",
            cpu="Example CPU @ 2.00GHz",
            cpu_flags=("avx2", "avx512_vnni"),
            cores=2,
            sources={"model": "b" * 64, "calibration": "d" * 64},
            seed=0,
        ),
        remarks=("no gate on memory",),
    )


@pytest.fixture
def accepting(approved: RunReport) -> RunReport:
    """Approved, though one gate is inconclusive and one unmeasured: the recipe lets them pass."""
    verdicts = (
        *judge("top1", Gate(max_drop=0.01, inconclusive="pass"), {"max_drop": Estimate(0.008, 0.004, 0.013, 3200)}),
        *judge("latency", Gate(min_speedup=1.5, unmeasured="pass"), {"min_speedup": "there is no GPU here"}),
    )
    first = replace(approved.candidates[0], verdicts=verdicts, timing=None, speedup=None, untimed="there is no GPU")
    return replace(approved, candidates=(first,))


@pytest.fixture
def refused(approved: RunReport) -> RunReport:
    """A NaN metric, a missed limit, an inconclusive and an unmeasured gate; a second candidate that holds its own."""
    broken = Estimate(nan, nan, nan)
    verdicts = (
        *judge("top1", Gate(max_drop=0.01, min=0.97), {"max_drop": Estimate(0.04, 0.031, 0.049), "min": broken}),
        *judge("latency", Gate(min_speedup=1.5), {"min_speedup": Estimate(1.6, 1.42, 1.79, 90)}),
        *judge("memory", Gate(max_ratio=0.5), {"max_ratio": "the process was killed\nby the kernel"}),
        *judge("size", Gate(max_ratio=0.4), {"max_ratio": Estimate.exact(0.25)}),
    )
    worse = replace(
        approved.candidates[0],
        name="gpu [bold]|*x*\x1b[31m",
        metrics=(replace(top1(broken), candidate=Interval(nan, -inf, inf)),),
        timing=None,
        speedup=None,
        untimed="no CUDA device",
        verdicts=verdicts,
        approved=False,
        packages={},
    )
    steps = (replace(approved.steps[1], notes={"worst": nan, "curve": [1.0, inf]}), *approved.steps)
    return replace(approved, outcome="refused", candidates=(worse, candidate("cpu")), steps=steps, remarks=())


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares a text with the file of that name; with UPDATE_GOLDEN set, writes the file instead."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check


def with_candidates(report: RunReport, names: tuple[str, str, str] = ("int8", "half", "int4")) -> RunReport:
    """Returns a run with three candidates, the last of them refused."""
    second = replace(candidate(names[1]), timing=timing("onnxruntime", 0.9, 128 << 20), size_ratio=0.5)
    verdicts = judge("top1", Gate(max_drop=0.001), {"max_drop": DROP})
    third = replace(candidate(names[2]), verdicts=tuple(verdicts), approved=False, packages={})
    command = ("optkit", "optimize", "recipe.yaml", "--set", "steps.int8.ranges=kl")
    first = candidate(names[0])
    part = SliceResult("label", names[1], 40, Interval(1.0, 0.9, 1.0), Interval(0.9, 0.8, 1.0), DROP, DROP)
    sliced = replace(first.metrics[0], slices=(part, replace(part, slice="cat")))
    gates = judge("top1", SliceGate(max_drop=0.004, inconclusive="pass"), {"max_drop": DROP}, f"label={names[1]}")
    first = replace(first, metrics=(sliced, *first.metrics[1:]), verdicts=(*first.verdicts, *gates))
    return replace(report, candidates=(first, second, third), command=command)


def with_sweep(report: RunReport) -> RunReport:
    """Returns a run whose baseline and first candidate were swept; p99 is known where there were runs enough."""

    def swept(timing: Timing | None) -> Timing | None:
        if timing is None:
            return None
        points = [
            SweepPoint(
                batch, threads, instances, 900 * instances * threads**0.5 * batch**0.5 / timing.p50_ms,
                timing.p50_ms * batch**0.5 * instances**0.4 / threads**0.5, 2 * timing.p50_ms * batch**0.5,
                3 * timing.p50_ms * batch**0.5 if batch < 64 else None, None,
            )
            for batch in (1, 8, 64) for threads in (1, 2) for instances in (1, 2)
        ]  # fmt: skip
        return replace(timing, sweep=tuple(points))

    first, *others = report.candidates
    baseline = replace(report.baseline, timing=swept(report.baseline.timing))
    return replace(report, baseline=baseline, candidates=(replace(first, timing=swept(first.timing)), *others))


def with_notes(report: RunReport, name: str = "conv_1") -> RunReport:
    """Returns a run whose steps noted sizes, operators, layers, ranges and rewrites of tensors called `name`."""
    histogram = {"tensor": name, "min": -1.0, "max": 3.0, "low": -0.5, "high": 2.5, "method": "mse", "sqnr_db": 31.0}
    notes = {
        "layers": [
            {"tensor": name, "operator": "Conv", "sqnr_db": 34.5},
            {"tensor": f"{name}_2", "operator": name, "sqnr_db": 12.25},
            {"tensor": "same", "operator": "Reshape", "sqnr_db": None},
        ],
        "ranges": [
            histogram | {"histogram": [1, 10, 100, 10, 1, 0, 0, 2]},
            {"tensor": "plain", "low": 0.0, "high": 1.0},
        ],
        "int8_nodes": {"Conv": [3, 4], name: [0, 1]},
        "fuse": {
            "matched": {"gelu": 2},
            "near_misses": [{"pattern": "attention", "node": name, "source": "model.py:14", "reason": "no <scale>"}],
            "left_out": {"attention": "slower"},
        },
        "simplify": {"removed": [{"rewrite": "no-ops", "nodes": 5, "weights": 0}], "left_out": {}},
    }
    export, quantize = report.steps
    export = replace(export, size_bytes=1_638_400, operators={"Conv": 4, "Relu": 4, name: 2})
    quantize = replace(quantize, size_bytes=448_000, operators={"QuantizeLinear": 9, "Conv": 4}, notes=notes)
    return replace(report, steps=(export, quantize))
