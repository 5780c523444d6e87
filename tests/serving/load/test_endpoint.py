from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import UsageError
from optkit.serving.load import endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("url", "protocol", "scheme"),
    [
        ("127.0.0.1:{}", None, "http"),
        ("127.0.0.1:{}", "grpc", "grpc"),
        ("http://127.0.0.1:{}/", None, "http"),
        ("http://127.0.0.1:{}", "grpc", "grpc"),
        ("grpc://127.0.0.1:{}", None, "grpc"),
        ("localhost:{}", "http", "http"),
    ],
)
def test_a_url_says_where_and_how(url: str, protocol: str | None, scheme: str, port: int) -> None:
    found = endpoint.find(url.format(port), protocol, allow_remote=False)
    assert (found.scheme, found.port, found.address) == (scheme, port, "127.0.0.1")


@pytest.mark.parametrize(
    ("url", "protocol", "message"),
    [
        ("ftp://127.0.0.1:1", None, "ftp is not spoken here"),
        ("grpcs://127.0.0.1:1", "http", "grpcs in the URL is not --protocol http"),
        ("grpc://127.0.0.1:1", "http", "grpc in the URL is not --protocol http"),
        ("http://127.0.0.1:1/v2/models/m", None, "host and port alone"),
        ("http://user@127.0.0.1:1", None, "host and port alone"),
        ("http://127.0.0.1:1?x", None, "host and port alone"),
        ("", None, "host and port alone"),
        ("127.0.0.1:99999", None, "no URL: Port out of range"),
        ("127.0.0.1:http", None, "no URL"),
        ("http://[::1", None, "no URL"),
        ("a..b:1", None, "no known host"),
        ("nowhere.invalid:1", None, "no known host"),
        ("10.1.2.3:1", None, r"^10\.1\.2\.3 is not this machine"),
        ("0.0.0.0:1", None, "not this machine"),
        ("[2001:db8::1]:1", None, "not this machine"),
    ],
)
def test_others_are_refused(url: str, protocol: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        endpoint.find(url, protocol, allow_remote=False)


def test_every_address_of_a_name_must_be_this_machine(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    def two(_host: str, port: int, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(2, 1, 6, "", ("127.0.0.1", port)), (2, 1, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with pytest.raises(UsageError, match=r"both\.example \(192\.0\.2\.1\) is not this machine\ngive --allow-remote"):
        endpoint.find(f"both.example:{port}", None, allow_remote=False)
    monkeypatch.undo()


def test_the_first_address_that_listens_is_kept(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    real = socket.getaddrinfo

    def two(host: str, port: int, *_: object, **__: object) -> object:
        names = ("127.0.0.2", "127.0.0.1") if host == "both.example" else (host,)
        return [found for name in names for found in real(name, port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    found = endpoint.find(f"both.example:{port}", None, allow_remote=False)
    assert (found.target, found.authority) == (f"127.0.0.1:{port}", f"both.example:{port}")


def test_nobody_there_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    with pytest.raises(UsageError, match=rf"nothing listens at 127\.0\.0\.1:{free}: Connection refused\nstart the"):
        endpoint.find(f"127.0.0.1:{free}", None, allow_remote=False)
