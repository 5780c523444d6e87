"""A server of the protocol in this process: it doubles what it is given, and misbehaves on demand."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from optkit.serving.golden import write_golden

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass
class Doubling:
    """What the server does.

    Attributes:
        misbehave: Called with the handler of each inference request; True if it has answered.
        metadata: What it says of the model.
        asked: Inference requests so far.
    """

    misbehave: Callable[[Handler, int], bool] = lambda _handler, _number: False
    metadata: dict[str, Any] = field(
        default_factory=lambda: {
            "name": "double",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
        }
    )
    extensions: tuple[str, ...] = ()
    asked: int = 0
    url: str = ""
    server: ThreadingHTTPServer | None = None

    def stop(self) -> None:
        """Ends the server; no connection is accepted any more."""
        assert self.server is not None
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of the protocol."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave together: alone, the body would wait for the client's delayed ACK
    doubling: Doubling
    server: ThreadingHTTPServer

    def do_GET(self) -> None:
        known = {"/v2": {"name": "doubling", "version": "1", "extensions": self.doubling.extensions}}
        found = {**known, "/v2/models/double": self.doubling.metadata}.get(self.path)
        self.answer({"error": "no such model"} if found is None else found, 404 if found is None else 200)

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        self.doubling.asked += 1
        if self.doubling.misbehave(self, self.doubling.asked):
            return
        self.double()

    # Each returns True: this request is answered.

    def double(self, times: float = 2, **changes: object) -> bool:
        """Answers with y = 2x, or as told."""
        (x,) = json.loads(self.body)["inputs"]
        data = (np.array(x["data"], np.float32) * times).tolist()
        y = {"name": "y", "datatype": "FP32", "shape": x["shape"], "data": data, **changes}
        return self.answer({"model_name": "double", "outputs": [y]})

    def answer(self, content: object, status: int = 200) -> bool:
        """Sends JSON."""
        return self.send(json.dumps(content).encode(), status)

    def send(self, body: bytes, status: int = 200, **headers: str) -> bool:
        """Sends bytes."""
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        return True

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no news."""


@contextmanager
def served(doubling: Doubling, tls: ssl.SSLContext | None = None) -> Iterator[Doubling]:
    handler = type("Own", (Handler,), {"doubling": doubling})
    server = _Server(("127.0.0.1", 0), handler)
    doubling.server, doubling.url = server, f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield doubling
    doubling.stop()
    thread.join()


@pytest.fixture
def doubling() -> Iterator[Doubling]:
    with served(Doubling()) as server:
        yield server


@dataclass(frozen=True)
class Identity:
    """A certificate that signed itself, and its key."""

    certificate: Path
    key: Path


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """One for localhost by name: not for 127.0.0.1."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("identity")
    found = Identity(folder / "certificate.pem", folder / "key.pem")
    subprocess.run(
        [
            openssl, "req", "-x509", "-nodes", "-days", "2",
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-out", found.certificate, "-keyout", found.key,
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return found


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)


@pytest.fixture
def run(tmp_path: Path, samples: np.ndarray) -> Path:
    """A finished run: two recorded requests, of one sample and of five."""
    (tmp_path / "run" / "golden").mkdir(parents=True)
    requests = [{"x": samples[:1]}, {"x": samples[1:]}]
    golden = tmp_path / "run" / "golden" / "double.npz"
    write_golden(golden, requests, [{"y": request["x"] * 2} for request in requests])
    return tmp_path / "run"
