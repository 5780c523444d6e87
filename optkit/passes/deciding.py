"""`method: auto`: makes the int8 graphs that suit a model, times those that are good enough, and keeps the fastest."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from optkit.core import interface as interfaces
from optkit.core.errors import BudgetMissed, OptkitError, UsageError
from optkit.core.passes import Host, Work
from optkit.passes.judging import Judge
from optkit.passes.onnx_step import move_artifact, read_model
from optkit.passes.quantize_weights import QuantizeWeights
from optkit.passes.selecting import selection
from optkit.passes.timing import threads, time_against
from optkit.quant.dynamic import dynamic_layers
from optkit.quant.placement import CONVOLUTIONS, place
from optkit.quant.prepare import prepare
from optkit.quant.profiles import profile_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from optkit.core.interface import Interface
    from optkit.core.passes import Pass
    from optkit.passes.quantize import Quantize

LEAST_COSINE = 0.99
"""Mean cosine to the float outputs that is good enough where there is no budget."""
_TARGET = "onnxruntime-cpu"
_LEAST_SECONDS = 5.0
_DONE = "done.json"


@dataclass(slots=True)
class Candidate:
    """One way to quantize.

    Attributes:
        name: For people.
        do: The pass that does it.
        folder: Where it works; holds the artifact in `out`.
        notes: What the pass noted.
        quality: Cosine, or the drops within the budget.
        reason: Why it is out; empty if it is not.
        speedup: Over the float model, with its interval; None if it was not timed.
    """

    name: str
    do: Pass
    folder: Path
    notes: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    speedup: tuple[float, float, float] | None = None


def decide(do: Quantize, inputs: Mapping[str, Path], work: Work) -> None:
    """Writes the fastest int8 graph that holds the budget, or comes close enough to the float outputs without one.

    What was made is kept in `work.scratch`: after a kill, it is not made again.

    Args:
        do: The options; those that the user set hold for every candidate.
        inputs: Role → artifact.
        work: Of the step.

    Raises:
        BudgetMissed: No candidate is good enough; says what each fails by.
        UsageError: The target cannot be timed here.
    """
    target = do.target or _TARGET
    if target != _TARGET:
        raise UsageError(
            f"method: auto decides by timing, and {target} cannot be timed here", hint="choose static or dynamic"
        )
    end = time.monotonic() + do.seconds
    interface = interfaces.read(inputs["model"])
    judge = Judge(inputs, interface, do.budget, work.scratch / "auto" / "predictions")
    candidates: list[Candidate] = []
    for index, candidate in enumerate(_candidates(do, inputs, work.scratch / "auto", candidates)):
        candidates.append(candidate)
        if index and time.monotonic() > end:
            candidate.reason = "the time was over"
            continue
        work.progress(min(0.8, 0.15 * index), f"trying {candidate.name}")
        _make(candidate, inputs)
        _judge(candidate, judge)
    fit = [candidate for candidate in candidates if not candidate.reason]
    if not fit:
        raise BudgetMissed(
            "\n".join(
                ["no way to quantize is good enough:", *(f"  {each.name}: {each.reason}" for each in candidates)]
            ),
            hint="allow a budget, or a larger one, or leave the quantize step out",
        )
    _time(fit, inputs["model"], interface, max(_LEAST_SECONDS, end - time.monotonic()), work)
    chosen = max(fit, key=lambda each: each.speedup[0] if each.speedup else 0.0)
    work.notes.update(chosen.notes)
    work.notes["auto"] = {
        "chosen": chosen.name, "threads": threads(), "least_cosine": None if do.budget else LEAST_COSINE,
        "candidates": [_note(each) for each in candidates],
    }  # fmt: skip
    move_artifact(chosen.folder / "out", work.out)


def _candidates(do: Quantize, inputs: Mapping[str, Path], folder: Path, made: list[Candidate]) -> Iterator[Candidate]:
    """Yields what suits the model, the likeliest first; the later ones depend on what came of those `made`."""
    from optkit.graph.matrices import find_matrices

    model = prepare(read_model(inputs["model"])[0])
    placed = place(model, profile_named(_TARGET), selection(do))
    convolves = any(node.op_type in CONVOLUTIONS for node in placed)
    multiplies = any(node.op_type in {"Gemm", "MatMul"} for node in placed)
    static = replace(do, method="static")

    def candidate(name: str, made_by: Pass) -> Candidate:
        return Candidate(name, made_by, folder / name.replace(" ", "-"))

    if placed:
        yield candidate("static", static)
        if "smoothed" in made[0].notes or "equalized" in made[0].notes:
            yield candidate("static without preparation", replace(static, smooth=False, equalize=False))
    if multiplies or any(not selection(do)(node) for node in dynamic_layers(model)):
        yield candidate("dynamic", replace(do, method="dynamic"))
    if convolves and multiplies and do.ops is None:
        yield candidate("static products", replace(static, ops=("MatMul",)))
        yield candidate("static convolutions", replace(static, ops=("Conv", "ConvTranspose")))
    if multiplies and not do.ops and find_matrices(model)[0]:
        weights = QuantizeWeights(keep=do.keep, target=_TARGET)
        yield candidate("weights", weights.resolve(_TARGET, Host(frozenset(), "")))


def _make(candidate: Candidate, inputs: Mapping[str, Path]) -> None:
    """Runs the candidate's pass, unless that was done before a kill."""
    # They import this module, too.
    from optkit.passes.quantize import Quantize
    from optkit.passes.quantizing import quantize

    done = candidate.folder / _DONE
    if done.is_file():
        kept = json.loads(done.read_text())
        candidate.notes, candidate.reason = kept["notes"], kept["reason"]
        return
    out, scratch = candidate.folder / "out", candidate.folder / "scratch"
    shutil.rmtree(out, ignore_errors=True)
    for folder in (out, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    part = Work(out, scratch)
    try:
        if isinstance(candidate.do, Quantize):
            quantize(candidate.do, inputs, part, searches=True)
        else:
            candidate.do.run({"model": inputs["model"]}, part)
    except OptkitError as error:
        if isinstance(error, UsageError):
            raise
        candidate.reason = error.message
    candidate.notes = part.notes
    draft = done.with_suffix(".part")
    draft.write_text(json.dumps({"notes": candidate.notes, "reason": candidate.reason}))
    draft.replace(done)


def _judge(candidate: Candidate, judge: Judge) -> None:
    if candidate.reason:
        return
    if judge.limits:
        scores = judge.scores(candidate.folder / "out")
        candidate.quality = {name: score.drop for name, score in scores.items()}
        missed = [
            f"{name} drops {drop:.4g}, more than {judge.limits[name].max_drop:g}"
            for name, drop in candidate.quality.items()
            if not drop <= judge.limits[name].max_drop
        ]
        candidate.reason = "; ".join(missed)
        return
    cosine = judge.cosine(candidate.folder / "out")
    candidate.quality = {"cosine": cosine}
    if not cosine >= LEAST_COSINE:
        candidate.reason = f"the cosine to the float outputs is {cosine:.4g}, less than {LEAST_COSINE:g}"


def _time(fit: list[Candidate], model: Path, interface: Interface, seconds: float, work: Work) -> None:
    """Times the candidates, interleaved with the float model."""
    folders = {each.name: each.folder / "out" for each in fit}
    speedups = time_against(
        model, folders, interface, seconds, lambda fraction, text: work.progress(0.8 + 0.15 * fraction, text)
    )
    for each in fit:
        each.speedup = (speedups[each.name].ratio, *speedups[each.name].interval)


def _note(candidate: Candidate) -> dict[str, Any]:
    return {
        "name": candidate.name,
        "pass": type(candidate.do).__name__,
        "options": asdict(candidate.do),
        "quality": candidate.quality,
        "speedup": candidate.speedup,
        "left_out": candidate.reason,
    }
