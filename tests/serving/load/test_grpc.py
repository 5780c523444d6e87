"""Over gRPC, with a server in this process that doubles what it is given."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from optkit.core.errors import UsageError
from optkit.data.source import load_dataset
from optkit.serving.load import endpoint
from optkit.serving.load.drive import drive
from optkit.serving.load.over_grpc import GrpcServer
from optkit.serving.load.protocol import RequestFailed
from optkit.serving.load.questions import from_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from optkit.serving.load.levels import Level


class Doubling(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated code has no types
    """Answers raw, or element by element."""

    raw = True
    misbehave: Callable[[grpc.ServicerContext], None] | None = None

    def ServerMetadata(self, *_: object) -> Any:  # noqa: ANN401, N802  # the service's own names and messages
        return service_pb2.ServerMetadataResponse(name="doubling", version="1")

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: ANN401, N802
        if request.name != "double":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such\nmodel")
        tensor = service_pb2.ModelMetadataResponse.TensorMetadata
        x, y = (tensor(name=name, datatype="FP32", shape=[-1, 2]) for name in ("x", "y"))
        return service_pb2.ModelMetadataResponse(name="double", inputs=[x], outputs=[y])

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: ANN401, N802
        if self.misbehave is not None:
            self.misbehave(context)
        doubled = np.frombuffer(request.raw_input_contents[0], np.float32) * 2
        answer = service_pb2.ModelInferResponse(model_name="double")
        output = answer.outputs.add(name="y", datatype="FP32", shape=request.inputs[0].shape)
        if self.raw:
            answer.raw_output_contents.append(doubled.tobytes())
        else:
            output.contents.fp32_contents.extend(doubled.tolist())
        return answer


@pytest.fixture
def service() -> Iterator[tuple[Doubling, str, Any]]:
    doubling = Doubling()
    server = grpc.server(ThreadPoolExecutor(8))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(doubling, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield doubling, f"grpc://127.0.0.1:{port}", server
    server.stop(0).wait()


def opened(url: str) -> GrpcServer:
    return GrpcServer(endpoint.find(url, None, allow_remote=False), timeout=1.0)


def level(server: GrpcServer, folder: Path, samples: np.ndarray, begin: Callable[[], None] = lambda: None) -> Level:
    np.savez(folder / "data.npz", x=samples)
    questions = from_data(server, server.model("double"), load_dataset(folder / "data.npz"), 2)
    begin()
    steps = drive(server, questions, 3, seconds=0.3, timeout=1.0)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            found: Level = stop.value
            return found


@pytest.mark.parametrize("raw", [True, False])
def test_answers_are_read_raw_and_element_by_element(
    raw: bool,  # noqa: FBT001  # a parameter of the test
    service: tuple[Doubling, str, Any],
    tmp_path: Path,
    samples: np.ndarray,
) -> None:
    service[0].raw = raw
    server = opened(service[1])
    assert (server.name, server.tensors) == ("doubling 1", "binary")
    found = level(server, tmp_path, samples)
    assert found.clean
    assert found.answers > 0
    assert found.samples_per_second == pytest.approx(2 * found.requests_per_second, rel=1e-9)


def refuses(context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue\nfull")


def sleeps(_: grpc.ServicerContext) -> None:
    time.sleep(1.3)


@pytest.mark.parametrize(
    ("fault", "message"),
    [(refuses, "status RESOURCE_EXHAUSTED: queue full"), (sleeps, "no answer within 1 s")],
)
def test_faults_are_errors(
    fault: Callable[[grpc.ServicerContext], None],
    message: str,
    service: tuple[Doubling, str, Any],
    tmp_path: Path,
    samples: np.ndarray,
) -> None:
    def begin() -> None:
        service[0].misbehave = fault

    found = level(opened(service[1]), tmp_path, samples, begin)
    assert found.dead
    assert set(found.problems) == {message}


def test_a_server_that_dies_is_an_error(
    service: tuple[Doubling, str, Any], tmp_path: Path, samples: np.ndarray
) -> None:
    found = level(opened(service[1]), tmp_path, samples, lambda: service[2].stop(0).wait())
    assert found.dead
    assert "status UNAVAILABLE: the server does not answer" in found.problems


def test_an_unknown_model_is_said(service: tuple[Doubling, str, Any]) -> None:
    with pytest.raises(UsageError, match="tells nothing about model 'other': status NOT_FOUND: no such model"):
        opened(service[1]).model("other")


@pytest.mark.parametrize(
    "change",
    [
        {"datatype": "FP32", "shape": [3]},
        {"datatype": "COMPLEX", "shape": [2]},
        {"datatype": "BYTES", "shape": [1]},
        {"datatype": "FP32", "shape": [2], "raw": False},
    ],
)
def test_malformed_answers_are_refused(change: dict[str, Any], service: tuple[Doubling, str, Any]) -> None:
    answer = service_pb2.ModelInferResponse()
    answer.outputs.add(name="y", datatype=change["datatype"], shape=change["shape"])
    if change.get("raw", True):
        answer.raw_output_contents.append(b"\xff" * 8)
    with pytest.raises(RequestFailed, match="no inference response"):
        opened(service[1]).read(answer)
