from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.core import interface as interfaces
from optkit.core import session_options
from optkit.core.errors import RecipeError, UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.parse import parse_recipe
from optkit.core.passes import Host, Work
from optkit.core.session_options import SessionOptions
from optkit.passes.tune import Tune
from optkit.passes.tuning import changes_of, finalists
from optkit.workflow.choices import choices
from optkit.workflow.packaging import check_tuned
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optkit.core.recipe import Recipe

HOST = Host(frozenset(), "here", threads=2)
ALL = ["threads", "execution", "graph", "arena", "spinning"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    weights = np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 32]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    x, y = (Tensor(name, "float32", ("batch", 32)) for name in "xy")
    interfaces.write(folder, Interface((x,), (y,), {"batch": Dim(1, 4, 8)}))
    return folder


def run(model: Path, do: Tune, target: str = "onnxruntime-cpu") -> Work:
    work = Work(model.parent / "out", model.parent / "scratch")
    for folder in (work.out, work.scratch):
        folder.mkdir()
    do.resolve(target, HOST).run({"model": model}, work)
    return work


def test_what_is_kept_was_found_and_then_confirmed(model: Path) -> None:
    work = run(model, Tune(seconds=0.6))
    assert (work.out / "model.onnx").read_bytes() == (model / "model.onnx").read_bytes()
    assert interfaces.read(work.out) == interfaces.read(model)
    notes = work.notes["tune"]
    assert set(notes["tried"]) == {
        "1 thread", "parallel execution", "graph level extended", "graph level basic", "no arena",
    }  # fmt: skip
    assert all(low <= ratio <= high for ratio, low, high in notes["tried"].values())
    looked_faster = {name for name, (_, low, _) in notes["tried"].items() if low > 1}
    confirmed = {part for name in notes["confirmed"] for part in name.split(", ")}
    both = {"graph level extended", "graph level basic"}  # of which one at most can be kept
    assert confirmed <= looked_faster
    assert looked_faster - confirmed == set() or (both <= looked_faster and looked_faster - confirmed < both)
    held = {name for name, (_, low, _) in notes["confirmed"].items() if low > 1}
    assert (notes["kept"] in held) if held else notes["kept"] is None
    written = session_options.read(work.out)
    assert written is not None
    assert (written == SessionOptions(2)) == (notes["kept"] is None)
    assert next(choices("tune", work.notes)).startswith(("tune: keeps ", "tune: the default session options stay"))


def test_options_of_before_are_not_taken_along(model: Path) -> None:
    session_options.write(SessionOptions(1, "parallel", "basic", arena=False), model)
    work = run(model, Tune(options=(), seconds=0.1))
    assert session_options.read(work.out) == SessionOptions(2)
    assert work.notes["tune"]["tried"] == {}


def test_openvino_has_threads_alone(model: Path) -> None:
    pytest.importorskip("openvino")
    work = run(model, Tune(seconds=0.2), "openvino-cpu")
    assert list(work.notes["tune"]["tried"]) == ["1 thread"]


def test_a_target_that_cannot_be_timed_here(model: Path) -> None:
    with pytest.raises(UsageError, match="tune decides by timing, and tensorrt cannot be timed here"):
        run(model, Tune(), "tensorrt")


def test_each_change_is_of_one_option() -> None:
    assert changes_of(6, ["threads"]) == {
        "1 thread": {"threads": 1}, "2 threads": {"threads": 2}, "4 threads": {"threads": 4},
    }  # fmt: skip
    assert all(len(change) == 1 for change in changes_of(4, ALL).values())
    assert {name for change in changes_of(4, ALL).values() for name in change} == set(ALL)


def test_a_single_thread_leaves_nothing_to_share() -> None:
    assert set(changes_of(1, ALL)) == {"graph level extended", "graph level basic", "no arena"}


def test_the_best_and_all_together_are_confirmed() -> None:
    changes, default = changes_of(4, ALL), SessionOptions(4)
    assert finalists(default, changes, []) == {}
    assert finalists(default, changes, ["no arena"]) == {"no arena": SessionOptions(4, arena=False)}
    found = finalists(default, changes, ["no arena", "2 threads", "1 thread", "parallel execution"])
    assert found == {
        "no arena": SessionOptions(4, arena=False),
        "no arena, 2 threads, parallel execution": SessionOptions(2, "parallel", arena=False),
    }


def test_of_two_values_for_one_option_alone_the_faster_is_confirmed() -> None:
    assert list(finalists(SessionOptions(4), changes_of(4, ALL), ["1 thread", "2 threads"])) == ["1 thread"]


RECIPE = """\
name: m
model: {onnx: model.onnx}
steps: [simplify, tune]
measure: {threads: 3}
package: {triton: {}}
"""


@pytest.fixture
def parse(tmp_path: Path) -> Callable[..., Recipe]:
    (tmp_path / "model.onnx").touch()

    def parse(*overrides: str) -> Recipe:
        (tmp_path / "recipe.yaml").write_text(RECIPE)
        return parse_recipe(tmp_path / "recipe.yaml", load_tables(), HOST, overrides)

    return parse


def test_it_has_as_many_threads_as_are_measured_with(parse: Callable[..., Recipe]) -> None:
    assert cast("Tune", parse().steps[-1].do).threads == 3
    assert cast("Tune", parse("measure.threads=5").steps[-1].do).threads == 5


def test_what_the_server_cannot_be_told_is_not_tuned_for_it(parse: Callable[..., Recipe]) -> None:
    check_tuned(parse())
    spinning = parse("steps.tune.options=[threads, spinning]")
    with pytest.raises(UsageError, match="tune: triton cannot be told about spinning, and would not serve") as caught:
        check_tuned(spinning)
    assert caught.value.hint == "tune arena, execution, graph, threads alone"
    check_tuned(parse("steps.tune.options=[threads, spinning]", "package={}"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("seconds=0", "seconds should be above 0, not 0"),
        ("seconds=.nan", "seconds should be above 0, not nan"),
        ("precision=1", "precision should be between 0 and 1, not 1"),
        ("threads=0", "threads should be at least 1, not 0"),
        ("options=[thread]", "should be 'threads', 'execution', 'graph', 'arena' or 'spinning'"),
    ],
)
def test_a_mistake_in_its_options(change: str, expected: str, parse: Callable[..., Recipe]) -> None:
    with pytest.raises(RecipeError, match=expected):
        parse(f"steps.tune.{change}")


def test_remarks_say_what_was_kept_and_what_was_not_confirmed() -> None:
    notes = {"tried": {"1 thread": [1.2, 1.1, 1.3]}, "confirmed": {"1 thread": [1.1, 1.05, 1.15]}, "kept": "1 thread"}
    assert list(choices("tune", {"tune": notes})) == [
        "tune: keeps 1 thread: 1.10x [1.05x, 1.15x] over the default session; tried 1 thread 1.20x"
    ]
    assert list(choices("tune", {"tune": notes | {"kept": None}})) == [
        "tune: the default session options stay; over them, tried 1 thread 1.20x; 1 thread was not confirmed"
    ]
