"""`docs/results.md`, from what `headline.py` measured."""

from __future__ import annotations

from typing import Any

_COMPILED, _FP32 = "torch-compile", "fp32, ORT"
_HEAD = """\
# What the field claims, measured

The field says that int8 is four times smaller and loses less than 1 %, and that optimized runtimes are 20 to 500 %
faster than PyTorch. `python benchmarks/headline.py` writes these tables: optkit's artifacts and those of rivals,
made from the same exported file, timed interleaved in processes of their own and scored on the same samples in one run.
Speeds are samples per second over PyTorch eager's in that run, 2 threads each. Scores stand with what is lost of the
exported file's. Tool time and memory are those of whole commands, from the exported file on; optkit's hold comparing
the graph with what it was, at several sizes and after each step, which the others do not. `benchmarks/rivals.txt` has
the versions of rivals.
"""
_NOTES = {
    "mnist": "A CNN of 33 000 parameters: what the runtime costs weighs more than its arithmetic.",
    "efficientnet-lite0": "ImageNet weights; agreement and cosine on 228 photographs, accuracy on 20 labelled ones.",
    "minilm": "all-MiniLM-L6-v2 with a head for sentiment; similarity is Spearman's on WordSim-353.",
    "resnet50": "Random weights: for speed, size and cost only; its scores are too easy to tell tools apart.",
}


def page(figures: dict[str, dict[str, Any]]) -> str:
    """Returns the page for model → figures."""
    return "\n".join([_HEAD, *(_section(name, each) for name, each in figures.items())])


def _section(name: str, figures: dict[str, Any]) -> str:
    environment = figures["environment"]
    versions = ", ".join(f"{package} {version}" for package, version in environment["versions"].items())
    where = f"{environment['cpu']}, commit {environment['commit'][:7]}; {versions}."
    kinds = list(figures["scores"][_FP32])
    batches = " / ".join(figures["latency"][_FP32]["eager"])
    head = ["artifact", "size", f"speed, batch {batches}", *kinds, "tool time", "peak memory"]
    rows = [_compiled(figures, len(kinds)), *(_row(figures, each, kinds) for each in _ordered(figures["artifacts"]))]
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] + ["---:"] * (len(head) - 1), *rows)]
    failed = [f"{artifact} failed: {why}" for artifact, why in figures["failed"].items()]
    return "\n".join([f"## {name}", "", _NOTES[name], "", *lines, "", *failed, where, ""])


def _ordered(artifacts: dict[str, Any]) -> list[str]:
    return sorted(artifacts, key=lambda name: (name != _FP32, not name.startswith("optkit"), name))


def _compiled(figures: dict[str, Any], kinds: int) -> list[str]:
    return ["torch.compile", "", _speed(figures, _COMPILED), *[""] * kinds, "", ""]


def _row(figures: dict[str, Any], artifact: str, kinds: list[str]) -> list[str]:
    facts, scores = figures["artifacts"][artifact], figures["scores"][artifact]
    smaller = figures["artifacts"][_FP32]["bytes"] / facts["bytes"]
    cost = [f"{facts['seconds']:.1f} s", f"{facts['peak_bytes'] / 1e9:.2f} GB"] if facts["seconds"] else ["", ""]
    return [artifact, f"{smaller:.2f}x", _speed(figures, artifact), *(_score(scores[kind]) for kind in kinds), *cost]


def _speed(figures: dict[str, Any], artifact: str) -> str:
    return " / ".join(f"{ratio:.2f}x" for ratio in figures["latency"][artifact]["eager"].values())


def _score(score: dict[str, float]) -> str:
    lost = f" (-{score['drop']:.4f})" if score["drop"] > 0 else f" (+{-score['drop']:.4f})" if score["drop"] else ""
    return f"{score['value']:.4f}{lost}"
