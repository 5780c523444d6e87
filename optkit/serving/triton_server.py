"""Starts a real tritonserver on 127.0.0.1 and stops it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from optkit.core import lifetime
from optkit.core.errors import MissingDependency, VerifyFailed
from optkit.serving.triton_client import TritonClient
from optkit.serving.triton_entries import check_entries, engines
from optkit.serving.triton_install import NO_TENSORRT, Installation, find

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

READY_TIMEOUT = 180.0
"""Seconds that loading and warming up the models may take."""
STOP_TIMEOUT = 15.0
ATTEMPTS = 3
"""Starts before giving up when another program takes a port between choosing and binding it."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps it; the names below it are unique
ERROR_LINE = re.compile(r"(?:E\d{4} \S+ \d+ \S+\] |error: )(?P<message>.*)")
NOISE = "CudaDriverHelper"
TRACE = "\\n\\nAt:\\n"
"""What the Python backend, which writes line breaks as backslash and n, puts before a stack trace."""
MAX_LINES = 20


@dataclass(frozen=True, slots=True)
class _Server:
    process: subprocess.Popen[bytes]
    name: str
    http_port: int
    grpc_port: int
    log: Path


@contextmanager
def serve(repository: Path, log: Path) -> Iterator[TritonClient]:
    """Serves the model repository for as long as the context lasts.

    Args:
        repository: Folder with one entry per model.
        log: File that receives the server's output.

    Raises:
        UsageError: The repository is empty or holds what optkit did not write.
        MissingDependency: No tritonserver can run here.
        VerifyFailed: The server did not come up; holds its own error lines.
    """
    check_entries(repository)
    with TemporaryDirectory(prefix="optkit-triton-") as work:
        installation = find(Path(work))
        left_out = engines(repository) if installation.lacks_tensorrt else set()
        names = sorted(path.name for path in repository.iterdir() if path.is_dir() and path.name not in left_out)
        if not names:
            raise MissingDependency(NO_TENSORRT, hint="verify it where such a server runs")
        server = _start(installation, repository.resolve(), names, log, Path(work))
        try:
            with TritonClient(server.http_port, server.grpc_port, installation.backend) as client:
                yield client
        finally:
            _stop(server)


def _start(installation: Installation, repository: Path, names: Sequence[str], log: Path, work: Path) -> _Server:
    for _ in range(ATTEMPTS):
        server = _launch(installation, repository, names, log, work)
        try:
            _wait_until_ready(server)
        except VerifyFailed:
            _stop(server)
            if "already in use" not in log.read_text(errors="replace"):
                raise
        else:
            return server
    raise VerifyFailed("no free port for tritonserver", hint=f"See {log}.")


def _launch(installation: Installation, repository: Path, names: Sequence[str], log: Path, work: Path) -> _Server:
    name = f"optkit_{uuid.uuid4().hex}"
    http_port, grpc_port = _free_ports()
    command = [
        *(sys.executable, "-I", lifetime.__file__, str(os.getpid())),
        str(installation.binary),
        *("--id", name),
        *("--model-repository", str(repository)),
        *("--model-control-mode", "explicit"),
        *(word for name in names for word in ("--load-model", name)),
        *("--backend-directory", str(installation.backends)),
        *("--http-address", "127.0.0.1", "--http-port", str(http_port)),
        *("--grpc-address", "127.0.0.1", "--grpc-port", str(grpc_port)),
        *("--allow-metrics", "false"),
        "--disable-auto-complete-config",
        *("--exit-timeout-secs", "5"),
        f"--backend-config=python,shm-region-prefix-name={name}",
    ]
    with log.open("wb") as output:
        # Its own session: Ctrl-C is for us, and we stop the server. The stub imports from its current folder.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=installation.environment,
            cwd=work,
            start_new_session=True,
        )
    return _Server(process, name, http_port, grpc_port, log)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _wait_until_ready(server: _Server) -> None:
    deadline = time.monotonic() + READY_TIMEOUT
    while not _is_ready(server):
        if server.process.poll() is not None:
            raise VerifyFailed(f"tritonserver did not start:\n{_errors(server.log)}", hint=f"Its log: {server.log}")
        if time.monotonic() > deadline:
            raise VerifyFailed(f"tritonserver was not ready after {READY_TIMEOUT:.0f} s", hint=f"Its log: {server.log}")
        time.sleep(0.05)


def _is_ready(server: _Server) -> bool:
    """Asks for the server's name too: a stranger may have taken the port."""
    try:
        status, body = _get(server.http_port, "/v2")
        return status == http.client.OK and json.loads(body)["name"] == server.name and _models_ready(server)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False


def _models_ready(server: _Server) -> bool:
    return _get(server.http_port, "/v2/health/ready")[0] == http.client.OK


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(65536)
    finally:
        connection.close()


def _errors(log: Path) -> str:
    """Returns the lines of the log that say what is wrong, each once."""
    lines = log.read_text(errors="replace").splitlines()
    found = [match["message"].split(TRACE)[0].strip('"') for line in lines if (match := ERROR_LINE.match(line))]
    wrong = list(dict.fromkeys(message for message in found if NOISE not in message))
    return "\n".join(wrong[:MAX_LINES] or lines[-MAX_LINES:])


def _stop(server: _Server) -> None:
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGINT)
    try:
        server.process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(server.process.pid, signal.SIGKILL)  # its backends too
        server.process.wait()
    for region in SHARED_MEMORY.glob(f"{server.name}*"):
        region.unlink(missing_ok=True)
