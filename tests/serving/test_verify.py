from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from optkit.core.errors import UsageError, VerifyFailed
from optkit.serving.emitter import Client
from optkit.serving.golden import read_golden, write_golden
from optkit.serving.triton import Triton
from optkit.serving.verify import CLIENTS, Check, _Replay, compare, verify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.serving.conftest import Zoo

FLOATS = hnp.arrays(st.sampled_from(["float16", "float32", "float64"]), hnp.array_shapes(min_dims=0, max_side=4))


@given(FLOATS)
def test_an_array_equals_itself_with_nan_and_infinity(array: np.ndarray) -> None:
    assert compare(array.copy(), array, 0.0) == (0.0, "")


@given(hnp.arrays("float32", (3, 4), elements=st.floats(-100, 100, width=32)), st.floats(0.001, 0.1))
def test_error_is_judged_by_the_scale_of_the_output(array: np.ndarray, tolerance: float) -> None:
    array[0, 0] = 100  # the scale
    near, far = array.copy(), array.copy()
    near[1, 1] += 100 * tolerance * 0.9
    far[1, 1] += 100 * tolerance * 1.1
    assert compare(near, array, tolerance)[1] == ""
    assert "is off by" in compare(far, array, tolerance)[1]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 2.0])
@pytest.mark.parametrize("recorded", [math.nan, math.inf, -math.inf, 1.0])
def test_nan_and_infinity_equal_only_themselves_in_the_same_place(wrong: float, recorded: float) -> None:
    one, other = np.array([0.0, wrong]), np.array([0.0, recorded])
    same = str(wrong) == str(recorded)
    assert (compare(one, other, 0.01)[1] == "") is same


@pytest.mark.parametrize(
    ("answer", "recorded", "problem"),
    [
        (None, np.zeros(2), "missing from the answer"),
        (np.zeros(2, np.float32), np.zeros(2), r"is float32 [2], recorded as float64 [2]"),
        (np.zeros((2, 1)), np.zeros(2), r"is float64 [2, 1], recorded as float64 [2]"),
        (np.array([1, 2, 3]), np.array([1, 5, 4]), "2 of 3 elements differ"),
        (np.array([True]), np.array([False]), "1 of 1 elements differ"),
        (np.array(["a", "long"]), np.array(["a", "b"]), "1 of 2 elements differ"),
        (np.array([1]), np.array(2), "1 of 1 elements differ"),
        (np.array([1e-3]), np.array([0.0]), "is off by 0.001, allowed are 1e-06"),
    ],
)
def test_difference_is_named(answer: np.ndarray | None, recorded: np.ndarray, problem: str) -> None:
    assert compare(answer, recorded, 0.1)[1] == problem


@pytest.mark.parametrize(
    ("answer", "recorded"),
    [
        (np.array([3.5]), np.array(3.5)),  # a scalar is [1] on Triton's wire
        (np.array(["a", "b"]), np.array(["a", "b"], "<U9")),
        (np.zeros((0, 4)), np.zeros((0, 4))),
        (np.array([60000], np.float16), np.array([60000], np.float16)),
    ],
)
def test_equal_is_equal(answer: np.ndarray, recorded: np.ndarray) -> None:
    assert compare(answer, recorded, 1e-4) == (0.0, "")


class Careless(Client):
    """Gives every client the rows of the first one."""

    protocols = ("shouting",)
    server = "none"

    def __init__(self, answer: dict[str, np.ndarray]) -> None:
        self.answer = answer

    def max_batch(self, model: str) -> int:
        del model
        return 8

    def infer(self, model: str, inputs: Mapping[str, np.ndarray], protocol: str) -> dict[str, np.ndarray]:
        del model, inputs, protocol
        return self.answer


def test_rows_that_go_to_the_wrong_client_are_caught() -> None:
    rows = np.arange(12.0).reshape(4, 3)
    replay = _Replay(Careless({"y": rows}), "m", 0, {"x": rows}, {"y": rows})
    assert [check.ok for check in replay.alone()] == [True]
    assert [check.ok for check in replay.together(1)] == [number % 4 == 0 for number in range(CLIENTS)]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, zoo: Zoo) -> Path:
    """Holds every model, its golden requests beside it, and a model whose weights are others than was recorded."""
    folder = tmp_path_factory.mktemp("verified")
    for kind in ("cnn", "text", "scaled", "dynamic"):
        deployable = zoo.deployable(kind, folder / "artifacts")
        Triton().emit(deployable, folder / "repository")
        zoo.golden(kind, deployable.model, folder / f"{kind}.npz")
    return folder


def copy(repository: Path, dest: Path, kind: str) -> Path:
    return Path(shutil.copytree(repository / "repository" / kind, dest / "repository" / kind)).parent


def check(repository: Path, folder: Path, kind: str, log: Path) -> list[Check]:
    return verify("triton", folder, repository / f"{kind}.npz", kind, log)


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["cnn", "text", "scaled", "dynamic"])
def test_emitted_model_passes(kind: str, repository: Path, tmp_path: Path, zoo: Zoo) -> None:
    checks = check(repository, copy(repository, tmp_path, kind), kind, tmp_path / "log")
    assert [each for each in checks if not each.ok] == []
    outputs = len(zoo.interface(kind).outputs)
    assert len(checks) == len(zoo.requests(kind)) * outputs * (2 + CLIENTS)
    assert {each.protocol for each in checks} == {"http", "grpc", "http, concurrent"}
    assert {each.output for each in checks} == {tensor.name for tensor in zoo.interface(kind).outputs}


@pytest.mark.heavy
def test_weights_changed_after_the_recording_are_caught(repository: Path, tmp_path: Path, zoo: Zoo) -> None:
    folder = copy(repository, tmp_path, "cnn")
    shutil.copyfile(zoo.build("cnn", tmp_path / "other", seed=9) / "model.onnx", folder / "cnn" / "1" / "model.onnx")
    checks = check(repository, folder, "cnn", tmp_path / "log")
    wrong = [each for each in checks if each.output == "logits"]
    assert wrong
    assert not any(each.ok for each in wrong)
    assert all(each.max_abs > 0.1 and "is off by" in each.problem for each in wrong)


@pytest.mark.heavy
def test_wrong_requests_and_outputs_fail_one_by_one(repository: Path, tmp_path: Path) -> None:
    requests, responses = read_golden(repository / "cnn.npz")
    responses[0]["absent"] = np.zeros(1)
    responses[1]["label"] = responses[1]["label"] + 1
    requests[2] = {"image": np.zeros((17, 1, 8, 8), np.float32)}
    write_golden(tmp_path / "g.npz", requests, responses)
    folder = copy(repository, tmp_path, "cnn")
    checks = verify("triton", folder, tmp_path / "g.npz", "cnn", tmp_path / "log")
    failed = {(each.request, each.output, each.problem.split(":")[0]) for each in checks if not each.ok}
    assert {(request, output) for request, output, _ in failed} == {(0, "absent"), (1, "label"), (2, "")}
    assert sum(each.ok for each in checks) == (2 + 1) * (2 + CLIENTS)
    [refusal] = {each.problem for each in checks if each.request == 2 and each.protocol == "grpc"}
    assert "batch-size must be <= 16" in refusal


@pytest.mark.heavy
def test_model_that_the_server_lacks_is_one_clear_error(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(VerifyFailed, match="no model 'digits'"):
        verify("triton", copy(repository, tmp_path, "cnn"), repository / "cnn.npz", "digits", tmp_path / "log")


def test_unreadable_recording_is_refused_before_a_server_starts(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "g.npz").write_bytes(b"")
    with pytest.raises(UsageError, match="holds no golden requests"):
        verify("triton", repository / "repository", tmp_path / "g.npz", "cnn", tmp_path / "log")
    assert not (tmp_path / "log").exists()
