"""Encrypted connections: the certificate must be one that is trusted, and for the host that was named."""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2_grpc

from optkit.core.errors import UsageError
from optkit.serving.load import endpoint
from optkit.workflow.loading import Load, LoadReport, demand, load
from tests.serving.load.conftest import Doubling, Identity, served
from tests.serving.load.test_grpc import Doubling as GrpcDoubling

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def https(identity: Identity) -> Iterator[str]:
    """Says `localhost`, for which the certificate is."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(identity.certificate, identity.key)
    with served(Doubling(), context) as doubling:
        yield doubling.url.replace("127.0.0.1", "localhost")


@pytest.fixture
def grpcs(identity: Identity) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(8))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(GrpcDoubling(), server)
    pair = (identity.key.read_bytes(), identity.certificate.read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    yield f"grpcs://localhost:{port}"
    server.stop(0).wait()


def driven(url: str, folder: Path, authorities: Path | None, protocol: str | None = None) -> LoadReport:
    np.savez(folder / "data.npz", x=np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32))
    request = Load(
        url, protocol, "auto", "double", None, folder / "data.npz", None, 2, "1,2", 0.3, 5.0,
        allow_remote=False, authorities=authorities,
    )  # fmt: skip
    steps = load(request)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            report: LoadReport = stop.value
            return report


@pytest.mark.parametrize("server", ["https", "grpcs"])
def test_a_trusted_server_is_driven(
    server: str, request: pytest.FixtureRequest, tmp_path: Path, identity: Identity
) -> None:
    report = driven(request.getfixturevalue(server), tmp_path, identity.certificate)
    demand(report)
    assert sum(level.answers for level in report.levels) > 0


@pytest.mark.parametrize("server", ["https", "grpcs"])
def test_another_certificate_is_refused(server: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="certificate of localhost is not trusted: self-signed certificate\n--ca names"
    ):
        driven(request.getfixturevalue(server), tmp_path, None)


@pytest.mark.parametrize("server", ["https", "grpcs"])
def test_a_certificate_is_for_the_host_that_was_named(
    server: str, request: pytest.FixtureRequest, tmp_path: Path, identity: Identity
) -> None:
    url = request.getfixturevalue(server).replace("localhost", "127.0.0.1")
    with pytest.raises(UsageError, match=r"certificate of 127\.0\.0\.1 is not trusted: IP address mismatch"):
        driven(url, tmp_path, identity.certificate)


def test_the_protocol_keeps_the_encryption(grpcs: str, identity: Identity) -> None:
    found = endpoint.find(grpcs.replace("grpcs", "https"), "grpc", allow_remote=False, authorities=identity.certificate)
    assert found.scheme == "grpcs"


def test_a_server_without_tls_is_said(doubling: Doubling, tmp_path: Path, identity: Identity) -> None:
    with pytest.raises(UsageError, match=r"127\.0\.0\.1 shakes no hands over TLS"):
        driven(doubling.url.replace("http", "https"), tmp_path, identity.certificate)


def test_what_is_no_certificate_is_said(https: str, doubling: Doubling, tmp_path: Path, identity: Identity) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(UsageError, match=r"ca\.pem holds no certificate that can be read"):
        driven(https, tmp_path, tmp_path / "ca.pem")
    with pytest.raises(UsageError, match="http:// uses no certificates"):
        driven(doubling.url, tmp_path, identity.certificate)
