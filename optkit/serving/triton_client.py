"""A client of a running tritonserver over HTTP and gRPC (KServe's v2 protocol)."""

from __future__ import annotations

import importlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from optkit.core.errors import MissingDependency, VerifyFailed
from optkit.serving.emitter import Client

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

TIMEOUT = 300.0
"""Seconds that one request may take."""
CHANNEL = [
    ("grpc.enable_http_proxy", 0),  # a proxy named in the environment is not for 127.0.0.1
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


def load(protocol: str) -> Any:  # noqa: ANN401 - tritonclient is untyped
    """Imports `tritonclient.http` or `tritonclient.grpc`.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        return importlib.import_module(f"tritonclient.{protocol}")
    except (ImportError, RuntimeError) as error:  # RuntimeError: installed without the extra for this protocol
        raise MissingDependency(
            f"speaking to a server over {protocol} needs tritonclient[{protocol}]", hint="pip install 'optkit[triton]'"
        ) from error


class TritonClient(Client):
    """Speaks to the server on 127.0.0.1. Use it as a context manager."""

    protocols = ("http", "grpc")

    def __init__(self, http_port: int, grpc_port: int, backend: str) -> None:
        self._http_url = f"127.0.0.1:{http_port}"
        self._grpc_url = f"127.0.0.1:{grpc_port}"
        self._backend = backend
        self._configs: dict[str, dict[str, Any]] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        client = load("grpc").InferenceServerClient(self._grpc_url, channel_args=CHANNEL)
        self._grpc = self._open.enter_context(client)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def server(self) -> str:
        """Server, version and backend."""
        with self._http() as http:
            metadata = http.get_server_metadata()
        return f"tritonserver {metadata['version']}, {self._backend}"

    def max_batch(self, model: str) -> int:
        """Returns `max_batch_size` of the configuration that the server loaded."""
        return int(self._config(model)["max_batch_size"])

    def infer(self, model: str, inputs: Mapping[str, np.ndarray], protocol: str) -> dict[str, np.ndarray]:
        """Sends one request and waits for its outputs."""
        flat = self._without_axes(model)
        module = load(protocol)
        try:
            tensors = [_input(module, name, array, flat=name in flat) for name, array in inputs.items()]
            outputs = self._infer_http(model, tensors) if protocol == "http" else self._infer_grpc(model, tensors)
        except (OSError, load("http").InferenceServerException) as error:
            raise VerifyFailed(f"{model} over {protocol}: {error}") from error
        return {name: _output(array, flat=name in flat) for name, array in outputs.items()}

    def _infer_http(self, model: str, tensors: list[Any]) -> dict[str, np.ndarray]:
        with self._http() as http:
            result = http.infer(model, tensors)
        return {output["name"]: result.as_numpy(output["name"]) for output in result.get_response()["outputs"]}

    def _infer_grpc(self, model: str, tensors: list[Any]) -> dict[str, np.ndarray]:
        result = self._grpc.infer(model, tensors, client_timeout=TIMEOUT)
        return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}

    def _http(self) -> Any:  # noqa: ANN401 - tritonclient is untyped
        """Returns a client for one use: the HTTP client, unlike the gRPC one, must not be shared by threads."""
        return load("http").InferenceServerClient(self._http_url, connection_timeout=TIMEOUT, network_timeout=TIMEOUT)

    def _config(self, model: str) -> dict[str, Any]:
        if model not in self._configs:
            try:
                with self._http() as http:
                    self._configs[model] = http.get_model_config(model)
            except (OSError, load("http").InferenceServerException) as error:
                raise VerifyFailed(f"the server has no model {model!r}: {error}") from error
        return self._configs[model]

    def _without_axes(self, model: str) -> set[str]:
        """Returns the tensors that are [batch, 1] on the wire and [batch] in the model."""
        config = self._config(model)
        return {io["name"] for io in (*config["input"], *config["output"]) if "reshape" in io}


def _input(module: Any, name: str, array: np.ndarray, *, flat: bool) -> Any:  # noqa: ANN401 - tritonclient is untyped
    import numpy as np
    from tritonclient.utils import np_to_triton_dtype

    if array.dtype.kind == "U":
        array = np.char.encode(array, "utf-8").astype(np.object_)
    if flat or array.ndim == 0:
        array = array[..., np.newaxis]
    tensor = module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    tensor.set_data_from_numpy(array)
    return tensor


def _output(array: np.ndarray, *, flat: bool) -> np.ndarray:
    import numpy as np

    if array.dtype.kind == "O":
        array = np.array([item.decode() for item in array.ravel()], dtype=np.str_).reshape(array.shape)
    return array[..., 0] if flat else array
