"""Addresses of servers: where one can listen, who can reach it, and how it may be shown."""

from __future__ import annotations

import re
import socket
from ipaddress import ip_address

from mirror.errors import InputError
from mirror.secrets import without_secrets as without_secrets

_UNESCAPED = re.compile(r"[/@#?\s]")


def check_address(host: str, port: int, option: str = "--port") -> None:
    """Checks that a server can listen there.

    Args:
        host: the address.
        port: likewise.
        option: how the user names another port.

    Raises:
        InputError: the port is in use or not ours to take, or no such address is of this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As the server does: what a closed connection leaves behind for a minute is no user.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise InputError(
            f"nothing can listen on port {port} of {host} ({error.strerror or error}): name "
            f"another with {option}, or end what uses it"
        ) from error


def check_login(address: str, setting: str) -> None:
    """Checks that the user and password in an address end where all who read it think they do.

    Else a part of the password is taken for the host, and shown as one.

    Raises:
        InputError: a character in them stands for something else in an address.
    """
    login, at, _ = address.partition("://")[2].rpartition("@")
    if at and _UNESCAPED.search(login):
        raise InputError(
            f"{setting}: the user or password has a character that means something else in an "
            "address: percent-encode the password (@ as %40, / as %2F, # as %23, ? as %3F, a "
            "space as %20)"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that is bound to `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bracketed(host: str) -> str:
    """A host as it stands in an address of the web."""
    return f"[{host}]" if ":" in host else host
