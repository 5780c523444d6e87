"""The Open Inference Protocol over gRPC: tritonclient's stubs, with one connection per client, as real clients have."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError
from optkit.serving.load.protocol import (
    MOST_BYTES,
    ModelSpec,
    RequestFailed,
    TensorSpec,
    datatype,
    first_words,
    off_wire,
    on_wire,
)
from optkit.serving.triton_client import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from optkit.serving.load.endpoint import Endpoint

_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where a server puts a tensor's elements that does not send them as raw bytes."""


@dataclass(slots=True)
class GrpcServer:
    """A server that is spoken to over gRPC.

    Attributes:
        endpoint: Where it is.
        timeout: Seconds that an answer may take.
    """

    endpoint: Endpoint
    timeout: float
    name: str = field(init=False)
    tensors: str = field(init=False, default="binary")

    def __post_init__(self) -> None:
        found = self._ask("ServerMetadata", {}, "the server")
        self.name = f"{found.name} {found.version}".strip()

    def model(self, name: str) -> ModelSpec:
        """Returns what the server says of a model."""
        found = self._ask("ModelMetadata", {"name": name}, f"model '{name}'")
        return ModelSpec(name, _specs(found.inputs), _specs(found.outputs))

    def prepare(self, model: ModelSpec, inputs: Mapping[str, np.ndarray]) -> Any:  # noqa: ANN401  # a protobuf message
        """Returns a request, encoded but for its envelope."""
        from tritonclient.utils import serialize_byte_tensor

        specs = {spec.name: spec for spec in model.inputs}
        request = load("grpc").service_pb2.ModelInferRequest(model_name=model.name)
        for name, array in inputs.items():
            sent = on_wire(array, specs.get(name))
            request.inputs.add(name=name, datatype=datatype(sent), shape=sent.shape)
            is_text = sent.dtype.kind == "O"
            request.raw_input_contents.append(serialize_byte_tensor(sent).item() if is_text else sent.tobytes())
        return request

    def read(self, answer: Any) -> dict[str, np.ndarray]:  # noqa: ANN401  # a protobuf message
        """Returns the tensors of an answer, raw or element by element."""
        from tritonclient.utils import InferenceServerException

        try:
            return {output.name: off_wire(_array(answer, index)) for index, output in enumerate(answer.outputs)}
        except (LookupError, TypeError, ValueError, struct.error, InferenceServerException) as error:
            raise RequestFailed("the answer is no inference response") from error

    def connect(self) -> GrpcConnection:
        """Returns a connection."""
        return GrpcConnection(self.endpoint, self.timeout)

    def _ask(self, method: str, fields: dict[str, str], what: str) -> Any:  # noqa: ANN401  # a protobuf message
        request = getattr(load("grpc").service_pb2, f"{method}Request")(**fields)
        connection = self.connect()
        try:
            return connection.call(method, request)
        except RequestFailed as error:
            raise UsageError(f"{self.endpoint} tells nothing about {what}: {error}") from error
        finally:
            connection.close()


class GrpcConnection:
    """A channel that shares its connection with no other."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        import grpc

        options = [
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.default_authority", endpoint.authority),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", MOST_BYTES),
        ]
        family = "ipv6" if ":" in endpoint.address else "ipv4"
        target = f"{family}:{endpoint.target}"
        if endpoint.trust is None:
            self._channel = grpc.insecure_channel(target, options)
        else:
            credentials = grpc.ssl_channel_credentials(endpoint.trust.roots)
            named = ("grpc.ssl_target_name_override", endpoint.host)  # the certificate is the host's, not the address's
            self._channel = grpc.secure_channel(target, credentials, [*options, named])
        self._stub = load("grpc").service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._timeout = timeout

    def send(self, request: Any) -> Any:  # noqa: ANN401  # protobuf messages
        """Sends a request."""
        return self.call("ModelInfer", request)

    def call(self, method: str, request: Any) -> Any:  # noqa: ANN401  # protobuf messages
        """Calls a method of the service."""
        import grpc

        try:
            return getattr(self._stub, method)(request, timeout=self._timeout)
        except grpc.RpcError as error:
            if error.code() in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}:
                raise RequestFailed(f"no answer within {self._timeout:g} s") from error
            raise RequestFailed(f"status {error.code().name}: {_short(error.details())}") from error
        except ValueError as error:  # the channel was closed meanwhile
            raise RequestFailed("the connection was closed") from error

    def close(self) -> None:
        """Ends the channel, from any thread: what waits on it fails."""
        self._channel.close()


def _specs(tensors: Any) -> tuple[TensorSpec, ...]:  # noqa: ANN401  # protobuf messages
    return tuple(TensorSpec(each.name, each.datatype, tuple(each.shape)) for each in tensors)


def _array(answer: Any, index: int) -> np.ndarray:  # noqa: ANN401  # a protobuf message
    import numpy as np
    from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype

    output = answer.outputs[index]
    dtype = triton_to_np_dtype(output.datatype)
    if answer.raw_output_contents:
        raw = answer.raw_output_contents[index]
        array = deserialize_bytes_tensor(raw) if output.datatype == "BYTES" else np.frombuffer(raw, dtype)
    else:
        array = np.array(getattr(output.contents, _CONTENTS[output.datatype]), dtype)
    return np.asarray(array).reshape(tuple(output.shape))


def _short(details: str | None) -> str:
    """Returns what the server said; gRPC's own words hold addresses that differ from connection to connection."""
    said = details or "no reason given"
    return "the server does not answer" if "failed to connect" in said.lower() else first_words(said)
