"""Where the server is. Only this machine's own addresses are loaded, unless the user says otherwise."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, urlsplit

from optkit.core.errors import UsageError
from optkit.serving.load import tls

if TYPE_CHECKING:
    from pathlib import Path

Scheme = Literal["http", "https", "grpc", "grpcs"]
_PORTS = {"http": 80, "https": 443, "grpc": 8001, "grpcs": 443}
_OVER_GRPC = {"http": "grpc", "https": "grpcs"}
"""Some servers spell their gRPC address so."""
_EXAMPLE = "as in http://127.0.0.1:8000, or grpc://127.0.0.1:8001; https:// and grpcs:// with TLS"
_CONNECT_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's address.

    Attributes:
        scheme: What it speaks.
        host: As the user named it.
        port: Of TCP.
        address: What `host` stands for: every connection goes there, whatever the name stands for later.
        trust: Whose certificates are taken; None without TLS.
    """

    scheme: Scheme
    host: str
    port: int
    address: str
    trust: tls.Trust | None = None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def is_grpc(self) -> bool:
        """Whether it speaks gRPC rather than HTTP."""
        return self.scheme.startswith("grpc")

    @property
    def authority(self) -> str:
        """Returns host and port, as in a URL."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def target(self) -> str:
        """Returns address and port, as in a URL."""
        return f"{_bracketed(self.address)}:{self.port}"


def find(url: str, protocol: str | None, *, allow_remote: bool, authorities: Path | None = None) -> Endpoint:
    """Resolves a URL and sees that something listens there.

    Args:
        url: `host:port`, or a URL of http, https, grpc or grpcs.
        protocol: `http` or `grpc`; by default as the URL says, else http.
        allow_remote: Whether it may be another machine.
        authorities: PEM file of the certificates to trust with TLS; those of this system by default.

    Raises:
        UsageError: The URL is malformed, does not resolve, leads to another machine, or nothing listens there that can
            be trusted.
    """
    parts = _split(url)
    scheme = _scheme(parts.scheme, protocol)
    host, port = parts.hostname or "", parts.port or _PORTS[scheme]
    addresses = _resolve(host, port)
    remote = [address for address in addresses if not ipaddress.ip_address(address.partition("%")[0]).is_loopback]
    if remote and not allow_remote:
        where = host if host == remote[0] else f"{host} ({remote[0]})"
        raise UsageError(f"{where} is not this machine", hint="give --allow-remote if you may put load on it")
    trust = tls.trust(authorities) if scheme.endswith("s") else None
    if authorities is not None and trust is None:
        raise UsageError(f"{scheme}:// uses no certificates", hint="leave --ca out, or ask over https:// or grpcs://")
    return Endpoint(scheme, host, port, _listening(addresses, host, port, trust), trust)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        _ = parts.port  # reading it checks it
    except ValueError as error:
        raise UsageError(f"{url} is no URL: {error}", hint=_EXAMPLE) from None
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError(f"{url} should be host and port alone", hint=f"{_EXAMPLE}; the model is named by --model")
    return parts


def _scheme(given: str, protocol: str | None) -> Scheme:
    scheme = given or protocol or "http"
    if scheme not in _PORTS:
        raise UsageError(f"{scheme} is not spoken here", hint=_EXAMPLE)
    if protocol == "grpc":
        scheme = _OVER_GRPC.get(scheme, scheme)
    if protocol and not scheme.startswith(protocol):
        raise UsageError(f"{scheme} in the URL is not --protocol {protocol}", hint="leave one of them out")
    return scheme  # type: ignore[return-value]  # one of _PORTS


def _resolve(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{host} is no known host: {getattr(error, 'strerror', None) or error}") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _listening(addresses: list[str], host: str, port: int, trust: tls.Trust | None) -> str:
    why = ""
    for address in addresses:
        try:
            connection = socket.create_connection((address, port), _CONNECT_TIMEOUT)
        except OSError as error:
            why = error.strerror or str(error)
            continue
        with connection:
            if trust is not None:
                tls.check(connection, host, trust)
            return address
    raise UsageError(
        f"nothing listens at {_bracketed(host)}:{port}: {why}", hint="start the server; is the port right?"
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
