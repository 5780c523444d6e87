"""Takes every model of the corpus through import, simplify and fuse, and counts how many still compute the same.

    python benchmarks/corpus.py

The counts in `results/corpus.json` may only grow: where one would shrink, it stays as it is, and the exit code is 1.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime
from corpus_cases import Case, package_cases, wheel_cases
from harness import RESULTS, write

from optkit.core import interface as interfaces
from optkit.core.errors import OptkitError
from optkit.core.passes import Work
from optkit.graph.load import load_model
from optkit.graph.simplify.randomness import is_random
from optkit.graph.walk import nodes, operator_count
from optkit.measure.parity import compare_outputs, feeds
from optkit.passes.fuse import Fuse
from optkit.passes.import_onnx import ImportOnnx
from optkit.passes.simplify import Simplify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

TOLERANCE = 1e-5
"""Of an output's largest value: what another order of the same sums may change."""
GROWING = ("in", "run by ONNX Runtime", "equal")
"""Counts that may only grow."""
SAMPLE = 8
"""Every how many-th case of the onnx wheel the tests take."""
SAMPLED = f"onnx wheel, one in {SAMPLE}"
KINDS = {
    "only plain tensors": "sequences or optionals at the ends",
    "must be numbers or booleans": "strings at the ends",
    "listed twice": "an output listed twice",
    "has no declared rank": "no declared rank",
    "which is not in": "an operator that the file's operator set does not have",
    "in training mode": "training mode",
    "does not run at": "does not run on made-up inputs",
    "does not run on": "does not run on made-up inputs",
    "has a cycle|nothing computes|stored sparse": "a graph that does not hold together",
    "NaN": "NaN on made-up inputs",
}


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        name: The case.
        state: unsupported (ONNX Runtime does not run the original), refused, random, equal, different or failed.
        why: In words.
        nodes: Before and after, where it came out.
    """

    name: str
    state: str
    why: str = ""
    nodes: tuple[int, int] = (0, 0)


def judge(case: Case, tools: tuple[Any, ...] = ()) -> Outcome:
    """Returns what becomes of a case; `tools` are those of `simplify`."""
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' own
        return _judge(case, tools, Path(place))


def _judge(case: Case, tools: tuple[Any, ...], folder: Path) -> Outcome:
    source = folder / "source"
    source.mkdir()
    (source / "net.onnx").write_bytes(case.model.SerializeToString())
    (source / "model.json").write_text(json.dumps({"file": "net.onnx", **case.said}))
    try:
        original = _session(source / "net.onnx")
        expected = [original.run(None, _fed(original, feed)) for feed in case.feeds]
    except Exception as error:  # noqa: BLE001  # onnxruntime's exceptions share no other base
        return Outcome(case.name, "unsupported", str(error).splitlines()[0])
    try:
        out, before = take_through(source, folder, tools)
        pairs = list(zip(case.feeds, expected, strict=True)) or list(_made_up(original, out))
        final = _session(out / "model.onnx")
        same = all(_equal(answer, final.run(None, _fed(final, feed))) for feed, answer in pairs)
        after = operator_count(load_model(out / "model.onnx"))
    except OptkitError as error:
        return Outcome(case.name, "refused", error.message)
    except Exception as error:  # noqa: BLE001  # a fault of ours: counted, not raised
        return Outcome(case.name, "failed", f"{type(error).__name__}: {error}".splitlines()[0])
    state = "equal" if same and pairs else "random" if _is_random(source / "net.onnx") else "different"
    return Outcome(case.name, state, nodes=(before, after))


def _made_up(original: Any, out: Path) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401  # onnxruntime ships no types
    """Yields made-up inputs and the original's answers, at those sizes that it takes."""
    for feed in (each.inputs for each in feeds(interfaces.read(out))):
        with contextlib.suppress(Exception):
            yield feed, original.run(None, _fed(original, feed))


def take_through(source: Path, folder: Path, tools: tuple[Any, ...]) -> tuple[Path, int]:
    """Returns the folder of the result, and how many nodes there were before."""
    imported, simple, fused = (_work(folder / name) for name in ("imported", "simple", "fused"))
    ImportOnnx().run({"model": source}, imported)
    Simplify(tools=tools).run({"model": imported.out}, simple)
    Fuse(target="onnxruntime-cpu").run({"model": simple.out}, fused)
    return fused.out, simple.notes["simplify"]["nodes"][0]


def _work(folder: Path) -> Work:
    work = Work(folder / "out", folder / "scratch")
    for part in (work.out, work.scratch):
        part.mkdir(parents=True)
    return work


def _session(path: Path) -> Any:  # noqa: ANN401  # onnxruntime ships no types
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _fed(session: Any, feed: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401  # onnxruntime ships no types
    return {value.name: feed[value.name] for value in session.get_inputs() if feed.get(value.name) is not None}


def _equal(expected: list[Any], actual: list[Any]) -> bool:
    names = [str(index) for index in range(len(expected))]
    errors = compare_outputs(dict(zip(names, expected, strict=True)), dict(zip(names, actual, strict=True)))
    return all(error.relative_to_scale <= TOLERANCE for error in errors)


def _is_random(path: Path) -> bool:
    return any(is_random(node) for node in nodes(load_model(path)))


def counts(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Returns the counts of a corpus."""
    outcomes = list(outcomes)
    states = Counter(outcome.state for outcome in outcomes)
    out = [outcome for outcome in outcomes if any(outcome.nodes)]
    refused = Counter(_kind(outcome.why) for outcome in outcomes if outcome.state == "refused")
    return {
        "in": len(outcomes),
        "run by ONNX Runtime": len(outcomes) - states["unsupported"],
        **{state: states[state] for state in ("equal", "random", "refused", "different", "failed")},
        "refused because of": dict(refused.most_common()),
        "nodes": [sum(outcome.nodes[which] for outcome in out) for which in (0, 1)],
    }


def _kind(message: str) -> str:
    return next((kind for words, kind in KINDS.items() if re.search(words, message)), message)


def _with_tools(case: Case) -> Outcome:
    return judge(case, tools=("onnxsim", "onnxslim"))


def losses(before: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Returns in what the counts of corpora are worse than those of a run before; any wrong graph is worse."""
    shrunk = [
        f"{name}: {what} was {counts[what]} and is {found[name][what]}"
        for name, counts in before.items()
        for what in GROWING
        if name in found and found[name][what] < counts[what]
    ]
    wrong = [
        f"{name}: {counts[state]} {state}"
        for name, counts in found.items()
        for state in ("different", "failed")
        if counts[state]
    ]
    return shrunk + wrong


def main() -> None:
    """Runs both corpora; prints the counts, names whatever is not equal, and writes the counts unless one is worse."""
    before = json.loads((RESULTS / "corpus.json").read_text())["corpora"]
    found: dict[str, Any] = {}
    with ProcessPoolExecutor(2) as pool:  # each case runs on one core
        wheel = list(pool.map(judge, wheel_cases(), chunksize=20))
        packages = list(pool.map(_with_tools, package_cases()))
    for name, outcomes in (("onnx wheel", wheel), (SAMPLED, wheel[::SAMPLE]), ("packages", packages)):
        found[name] = counts(outcomes)
        print(name, json.dumps(found[name], indent=1))
        for outcome in outcomes:
            if outcome.state in {"different", "failed"} or (name == "packages" and outcome.state != "equal"):
                print(f"  {outcome.state}: {outcome.name}: {outcome.why}")
    worse = losses(before, found)
    if worse:
        sys.exit("\n".join(worse))
    write("corpus", {"corpora": found})


if __name__ == "__main__":
    main()
