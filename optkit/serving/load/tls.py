"""Encrypted connections: whom to trust, and whether a server can be."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError

if TYPE_CHECKING:
    import socket


@dataclass(frozen=True, slots=True)
class Trust:
    """Certificate authorities.

    Attributes:
        context: For Python's own connections; names are checked.
        roots: The same authorities for gRPC, in PEM; None for the bundle that gRPC brings along.
    """

    context: ssl.SSLContext
    roots: bytes | None


def trust(authorities: Path | None) -> Trust:
    """Returns trust in the certificates of a PEM file or, without one, in those of this system.

    Raises:
        UsageError: The file holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(
            f"{authorities} holds no certificate that can be read: {error.strerror or error}",
            hint="give a PEM file: -----BEGIN CERTIFICATE-----",
        ) from None
    found = authorities or ssl.get_default_verify_paths().cafile
    return Trust(context, Path(found).read_bytes() if found else None)


def check(connection: socket.socket, host: str, given: Trust) -> None:
    """Shakes hands with a server, so that what is wrong is said before anything is sent.

    Raises:
        UsageError: It does not speak TLS, or its certificate is not trusted or not for this host.
    """
    try:
        given.context.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        raise UsageError(
            f"the certificate of {host} is not trusted: {error.verify_message}",
            hint="--ca names a PEM file with the certificate, or with that of the authority that signed it",
        ) from None
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(
            f"{host} shakes no hands over TLS: {_reason(error)}", hint="http:// and grpc:// use none"
        ) from None


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return str(reason).replace("_", " ").lower()
