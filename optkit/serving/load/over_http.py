"""The Open Inference Protocol over HTTP.

Requests are encoded once by tritonclient, before the clock runs, and sent by the standard library, which follows no
redirect, asks no proxy and, unlike tritonclient's own client, belongs to one thread without a scheduler of its own.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from optkit.core.errors import UsageError
from optkit.serving.load.protocol import (
    MOST_BYTES,
    ModelSpec,
    RequestFailed,
    datatype,
    first_words,
    model_spec,
    off_wire,
    on_wire,
    within,
)
from optkit.serving.triton_client import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from optkit.serving.load.endpoint import Endpoint

HEADER = "Inference-Header-Content-Length"
"""Where the JSON of a message ends and its binary tensors begin."""
_BINARY = "binary_tensor_data"
_REDIRECT = range(300, 400)
_MOST_METADATA = 1 << 20
_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, RecursionError, struct.error)
"""What reading an answer raises that is not what it should be, besides tritonclient's own exception."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Bytes to post, and where."""

    path: str
    body: bytes
    headers: dict[str, str]


@dataclass(slots=True)
class HttpServer:
    """A server that is spoken to over HTTP.

    Attributes:
        endpoint: Where it is.
        timeout: Seconds that an answer may take.
        wanted: `binary`, `json`, or `auto`: binary if the server has that extension.
    """

    endpoint: Endpoint
    timeout: float
    wanted: str
    name: str = field(init=False)
    tensors: str = field(init=False)

    def __post_init__(self) -> None:
        load("http")  # before anything is asked
        found = self._ask("/v2", "the server")
        self.name = f"{found.get('name', 'unnamed')} {found.get('version', '')}".strip()
        binary = _BINARY in (found.get("extensions") or ())
        self.tensors = ("binary" if binary else "json") if self.wanted == "auto" else self.wanted

    def model(self, name: str) -> ModelSpec:
        """Returns what the server says of a model."""
        found = self._ask(_model_path(name), f"model '{name}'")
        try:
            return model_spec(name, found.get("inputs"), found.get("outputs"))
        except (LookupError, TypeError, ValueError) as error:
            raise UsageError(f"{self.endpoint} describes model '{name}' otherwise than the protocol says") from error

    def prepare(self, model: ModelSpec, inputs: Mapping[str, np.ndarray]) -> HttpRequest:
        """Returns a request, encoded."""
        http_ = load("http")
        from tritonclient.utils import InferenceServerException

        binary = self.tensors == "binary"
        specs = {spec.name: spec for spec in model.inputs}
        tensors = []
        try:
            for name, array in inputs.items():
                sent = on_wire(array, specs.get(name))
                tensors.append(http_.InferInput(name, list(sent.shape), datatype(sent)))
                tensors[-1].set_data_from_numpy(sent, binary_data=binary)
            outputs = [http_.InferRequestedOutput(spec.name, binary_data=False) for spec in model.outputs]
            encode = http_.InferenceServerClient.generate_request_body
            body, header_length = encode(tensors, outputs=None if binary else outputs or None)
        except InferenceServerException as error:
            raise UsageError(f"the samples cannot be sent as {self.tensors}: {error.message()}") from error
        body = body if isinstance(body, bytes) else body.encode()
        if header_length is None:
            return HttpRequest(f"{_model_path(model.name)}/infer", body, {"Content-Type": "application/json"})
        headers = {"Content-Type": "application/octet-stream", HEADER: str(header_length)}
        return HttpRequest(f"{_model_path(model.name)}/infer", body, headers)

    def read(self, answer: tuple[bytes, str | None]) -> dict[str, np.ndarray]:
        """Returns the tensors of an answer."""
        from tritonclient.utils import InferenceServerException

        body, header_length = answer
        try:
            parse = load("http").InferenceServerClient.parse_response_body
            result = parse(body, header_length=header_length)
            names = [output["name"] for output in result.get_response()["outputs"]]
            return {name: off_wire(result.as_numpy(name)) for name in names}
        except (*_MALFORMED, InferenceServerException) as error:
            raise RequestFailed("the answer is no inference response") from error

    def connect(self) -> HttpConnection:
        """Returns a connection."""
        return HttpConnection(self.endpoint, self.timeout)

    def _ask(self, path: str, what: str) -> dict[str, Any]:
        connection = self.connect()
        try:
            with within(self.timeout, connection):
                body, _ = connection.exchange("GET", HttpRequest(path, b"", {}), _MOST_METADATA)
            found = json.loads(body)
            if isinstance(found, dict):
                return found
        except RequestFailed as error:
            raise UsageError(f"{self.endpoint} tells nothing about {what}: {error}") from error
        except (ValueError, RecursionError):
            pass
        finally:
            connection.close()
        raise UsageError(f"{self.endpoint} does not speak the Open Inference Protocol: {path} gives no JSON object")


class HttpConnection:
    """A connection that is kept open between requests, and opened again after a failure."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        self._connection = _Connection(endpoint, timeout)
        self._host = endpoint.authority
        self._timeout = timeout
        self._given_up = False

    def send(self, request: HttpRequest) -> tuple[bytes, str | None]:
        """Posts a request; returns the body of the answer, and where its JSON ends if binary tensors follow."""
        return self.exchange("POST", request, MOST_BYTES)

    def exchange(self, method: str, request: HttpRequest, most: int) -> tuple[bytes, str | None]:
        """Sends a request; returns the answer's body, of at most so many bytes, and where its JSON ends."""
        try:
            self._connection.request(method, request.path, request.body, {"Host": self._host, **request.headers})
            response = self._connection.getresponse()
            body = response.read(most)
            if response.length and len(body) < most:
                raise http.client.IncompleteRead(body, response.length)
            more = response.read(1)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            late = self._given_up or isinstance(error, TimeoutError)
            raise RequestFailed(f"no answer within {self._timeout:g} s" if late else _reason(error)) from error
        if more:
            self._connection.close()
            raise RequestFailed(f"the answer is longer than {most} bytes")
        if response.status != http.client.OK:
            raise RequestFailed(_refusal(response, body))
        return body, response.headers.get(HEADER)

    def close(self) -> None:
        """Ends the connection, from any thread: what waits on the socket wakes up."""
        self._given_up = True
        if self._connection.sock is not None:
            with suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()


class _Connection(http.client.HTTPConnection):
    """Goes to the address that was checked and, with TLS, asks for a certificate of the host that was named."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        super().__init__(endpoint.address, endpoint.port, timeout=timeout)
        self._endpoint = endpoint

    def connect(self) -> None:
        """Connects."""
        super().connect()
        if self._endpoint.trust is not None:
            context = self._endpoint.trust.context
            self.sock = context.wrap_socket(self.sock, server_hostname=self._endpoint.host)


def _model_path(name: str) -> str:
    return f"/v2/models/{quote(name, safe='')}"


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionError | http.client.IncompleteRead):
        return "the server closed the connection"
    if isinstance(error, http.client.HTTPException):
        return "what answers does not speak HTTP"
    return f"{type(error).__name__}: {error}"


def _refusal(response: http.client.HTTPResponse, body: bytes) -> str:
    if response.status in _REDIRECT:
        return f"status {response.status}: a redirect, which is not followed"
    try:
        said = json.loads(body)
        said = said.get("error") or said.get("detail")
    except (ValueError, AttributeError, RecursionError):
        said = None
    return f"status {response.status}: {first_words(str(said or response.reason))}"
