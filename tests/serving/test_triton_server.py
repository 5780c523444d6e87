"""With a real tritonserver: what is emitted is served as it is, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from optkit.core.errors import UsageError, VerifyFailed
from optkit.core.interface import Interface, Tensor
from optkit.serving import triton_server
from optkit.serving.emitter import Deployable
from optkit.serving.triton import Triton

if TYPE_CHECKING:
    from optkit.serving.emitter import Client
    from tests.serving.conftest import Running, Zoo

pytestmark = pytest.mark.heavy
KINDS = ("cnn", "text", "scaled", "flags", "every_dtype", "found")  # those that `running` serves
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps it


def servers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.name() == "tritonserver"]


def regions() -> set[str]:
    return {path.name for path in SHARED_MEMORY.glob("optkit_*")}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("kind", KINDS)
def test_served_answers_equal_those_of_onnxruntime(kind: str, protocol: str, running: Running, zoo: Zoo) -> None:
    for request in zoo.requests(kind):
        expected = zoo.run(running.artifacts / kind, request)
        answer = running.client.infer(kind, request, protocol)
        assert answer.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(answer[name].reshape(array.shape), array, rtol=0, atol=1e-6)
            assert answer[name].dtype == array.dtype


def test_concurrent_requests_share_runs_and_get_their_own_rows(running: Running, zoo: Zoo) -> None:
    rng = np.random.default_rng(1)
    requests = [{"image": rng.standard_normal((1 + n % 3, 1, 8, 8)).astype(np.float32)} for n in range(12)]
    before = statistics(running.client, "cnn")
    together = threading.Barrier(len(requests))

    def ask(request: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        together.wait()
        answer: dict[str, np.ndarray] = running.client.infer("cnn", request, "http")
        return answer

    with ThreadPoolExecutor(len(requests)) as pool:
        answers = list(pool.map(ask, requests))
    for request, answer in zip(requests, answers, strict=True):
        expected = zoo.run(running.artifacts / "cnn", request)
        np.testing.assert_allclose(answer["logits"], expected["logits"], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(answer["label"], expected["label"], strict=True)
    samples, runs = np.subtract(statistics(running.client, "cnn"), before)
    assert samples == sum(len(request["image"]) for request in requests)
    assert runs < len(requests)


def test_concurrent_requests_of_different_lengths_are_not_mixed_up(running: Running, zoo: Zoo) -> None:
    requests = [zoo.requests("text")[n % 3] for n in range(9)]
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = list(pool.map(lambda request: running.client.infer("text", request, "grpc"), requests))
    for request, answer in zip(requests, answers, strict=True):
        for name, array in zoo.run(running.artifacts / "text", request).items():
            np.testing.assert_allclose(answer[name], array, rtol=0, atol=1e-5)


def statistics(client: Any, model: str) -> tuple[int, int]:  # noqa: ANN401 - a TritonClient
    """Returns how many samples were inferred in how many runs."""
    with client._http() as http:  # noqa: SLF001 - the numbers matter to this test only
        counts = http.get_inference_statistics(model)["model_stats"][0]
    return int(counts["inference_count"]), int(counts["execution_count"])


def test_server_tells_what_answers_and_how_it_batches(running: Running) -> None:
    assert running.client.server.startswith("tritonserver 2.")
    assert [running.client.max_batch(kind) for kind in KINDS] == [16, 8, 0, 4, 4, 0]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize(
    ("model", "request_", "message"),
    [
        ("cnn", {"image": np.zeros((17, 1, 8, 8), np.float32)}, "batch-size must be <= 16"),
        ("cnn", {"image": np.zeros((1, 1, 9, 8), np.float32)}, r"unexpected shape"),
        ("cnn", {"image": np.zeros((1, 1, 8, 8), np.float64)}, "expected datatype is 'FP32'|data-type"),
        ("cnn", {"picture": np.zeros((1, 1, 8, 8), np.float32)}, "picture|expected 1 inputs"),
        ("text", {"tokens": np.full((1, 2), 99), "mask": np.ones((1, 2), bool)}, "indices element out of data bounds"),
        ("absent", {"x": np.zeros(1)}, "no model 'absent'"),
    ],
)
def test_refused_request_gives_the_servers_message(
    model: str, request_: dict[str, np.ndarray], message: str, protocol: str, running: Running
) -> None:
    with pytest.raises(VerifyFailed, match=message):
        running.client.infer(model, request_, protocol)


def test_server_listens_on_the_loopback_address_only(running: Running) -> None:
    family = [running.process, *running.process.children(recursive=True)]
    listening = [each for process in family for each in process.net_connections() if each.status == "LISTEN"]
    assert len({each.laddr.port for each in listening}) == 2
    assert {each.laddr.ip.removeprefix("::ffff:") for each in listening} == {"127.0.0.1"}


def test_two_servers_run_beside_each_other(running: Running, tmp_path: Path, zoo: Zoo) -> None:
    Triton().emit(zoo.deployable("flags", tmp_path), tmp_path / "repository")
    with Triton().serve(tmp_path / "repository", tmp_path / "log") as other:
        assert len(servers()) == 2
        with pytest.raises(VerifyFailed, match="no model 'cnn'"):
            other.max_batch("cnn")
        assert running.client.max_batch("cnn") == 16


def test_nothing_is_left_when_the_body_raises(tmp_path: Path, zoo: Zoo) -> None:
    Triton().emit(zoo.deployable("flags", tmp_path), tmp_path / "repository")
    before = regions()
    family: list[psutil.Process] = []

    def fail(client: Client) -> None:
        newest = max(servers(), key=psutil.Process.create_time)
        family.extend([newest, *newest.children(recursive=True)])
        client.infer("flags", {"flag": np.array([True])}, "http")
        assert regions() > before
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), Triton().serve(tmp_path / "repository", tmp_path / "log") as client:
        fail(client)
    assert len(family) > 1
    assert not [process for process in family if process.is_running()]
    assert regions() == before


def test_killed_server_is_one_clear_error_and_leaves_nothing(tmp_path: Path, zoo: Zoo) -> None:
    Triton().emit(zoo.deployable("flags", tmp_path), tmp_path / "repository")
    before = regions()
    with Triton().serve(tmp_path / "repository", tmp_path / "log") as client:
        client.max_batch("flags")
        newest = max(servers(), key=psutil.Process.create_time)
        backends = newest.children(recursive=True)
        newest.kill()
        newest.wait(5)
        for protocol in client.protocols:
            with pytest.raises(VerifyFailed, match=f"flags over {protocol}"):
                client.infer("flags", {"flag": np.array([True])}, protocol)
    assert backends
    assert not psutil.wait_procs(backends, timeout=20)[1]
    assert regions() == before


def test_server_goes_when_optkit_is_killed(tmp_path: Path, zoo: Zoo) -> None:
    Triton().emit(zoo.deployable("flags", tmp_path), tmp_path / "repository")
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom optkit.serving.triton import Triton\n"
        "with Triton().serve(Path(sys.argv[1]), Path(sys.argv[2])):\n    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "repository"), str(tmp_path / "log")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as optkit:
        assert optkit.stdout is not None
        assert optkit.stdout.readline() == b"ready\n"
        family = psutil.Process(optkit.pid).children(recursive=True)
        assert "tritonserver" in {process.name() for process in family}
        os.kill(optkit.pid, signal.SIGKILL)
    assert not psutil.wait_procs(family, timeout=20)[1]


def break_config(entry: Path, old: str, new: str) -> None:
    config = entry / "config.pbtxt"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max_batch_size: 16", "max_batch_size: -3", "max_batch_size"),
        ("TYPE_FP32", "TYPE_FP16", "'image': configuration says TYPE_FP16, the model tensor\\(float\\)"),
        ("dims: 8", "dims: 9", "'image': configuration says \\[1, 9, 8\\]"),
        ("dims: 8\n", "", "'image': configuration gives 3 dimensions"),
        ('name: "logits"', 'name: "odds"', "configuration names \\['odds', 'label'\\]"),
        ('name: "cnn"', 'name: "other"', "other"),
    ],
)
def test_configuration_that_does_not_fit_gives_the_servers_error(
    old: str, new: str, message: str, tmp_path: Path, zoo: Zoo
) -> None:
    entry = Triton().emit(zoo.deployable("cnn", tmp_path), tmp_path / "repository")
    break_config(entry, old, new)
    with (
        pytest.raises(VerifyFailed, match=message) as caught,
        Triton().serve(tmp_path / "repository", tmp_path / "log"),
    ):
        pass
    assert "tritonserver did not start" in caught.value.message
    assert str(tmp_path / "log") in caught.value.hint
    assert "Traceback" not in caught.value.message


def test_damaged_model_gives_the_servers_error(tmp_path: Path, zoo: Zoo) -> None:
    entry = Triton().emit(zoo.deployable("flags", tmp_path), tmp_path / "repository")
    (entry / "1" / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(VerifyFailed, match="Protobuf parsing failed"):
        Triton().serve(tmp_path / "repository", tmp_path / "log").__enter__()


def test_taken_port_is_left_for_another(
    tmp_path: Path, zoo: Zoo, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    Triton().emit(zoo.deployable("flags", tmp_path), tmp_path / "repository")
    taken = sorted({each.laddr.port for each in running.process.net_connections() if each.status == "LISTEN"})
    choose, offers = triton_server._free_ports, iter([tuple(taken)])  # noqa: SLF001 - the race cannot be won otherwise
    monkeypatch.setattr(triton_server, "_free_ports", lambda: next(offers, None) or choose())
    with Triton().serve(tmp_path / "repository", tmp_path / "log") as client:
        assert client.max_batch("flags") == 4
    assert next(offers, None) is None


def test_server_that_is_never_ready_is_given_up(tmp_path: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    Triton().emit(zoo.deployable("flags", tmp_path), tmp_path / "repository")
    monkeypatch.setattr(triton_server, "READY_TIMEOUT", 0.0)
    before = len(servers())
    with pytest.raises(VerifyFailed, match="not ready after 0 s"):
        Triton().serve(tmp_path / "repository", tmp_path / "log").__enter__()
    assert len(servers()) == before


def test_empty_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no Triton model"):
        Triton().serve(tmp_path, tmp_path / "log").__enter__()


def test_strings_are_refused_with_a_way_out(tmp_path: Path) -> None:
    words = Interface((Tensor("x", "string", (2,)),), (Tensor("y", "string", (2,)),))
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "words",
        [helper.make_tensor_value_info("x", TensorProto.STRING, [2])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [2])],
    )
    (tmp_path / "artifact").mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "artifact" / "model.onnx")
    Triton().emit(Deployable("words", tmp_path / "artifact", words), tmp_path / "repository")
    with pytest.raises(VerifyFailed, match="strings need a tritonserver with its own onnxruntime backend"):
        Triton().serve(tmp_path / "repository", tmp_path / "log").__enter__()
