"""Addresses of servers: whether they are free, well-formed or local, and whether they answer."""

from __future__ import annotations

import re
import socket
from http.client import HTTPException
from ipaddress import ip_address
from urllib.request import ProxyHandler, build_opener

from mirror.errors import InputError

ANSWER_SECONDS = 10.0
DIRECT = build_opener(ProxyHandler({}))
"""Opens addresses without the user's proxy, which cannot reach loopback."""
_UNESCAPED = re.compile(r"[/@#?\s]")


def check_address(host: str, port: int, option: str = "--port") -> None:
    """Check that a server can listen on a port of a host.

    Args:
        host: the address to listen on.
        port: the port to listen on.
        option: the command-line option for another port.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As servers do: a connection closed within the last minute does not block the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise InputError(
            f"nothing can listen on port {port} of {host} ({error.strerror or error}): name "
            f"another with {option}, or end what uses it"
        ) from error


def check_login(address: str, setting: str) -> None:
    """Reject an address with unescaped `/ @ # ?` or spaces in its user name or password.

    Else a part of the password would be taken for the host, and shown in messages.
    """
    login, at, _ = address.partition("://")[2].rpartition("@")
    if at and _UNESCAPED.search(login):
        raise InputError(
            f"{setting}: the user or password has a character that means something else in an "
            "address: percent-encode the password (@ as %40, / as %2F, # as %23, ? as %3F, a "
            "space as %20)"
        )


def is_loopback(host: str) -> bool:
    """Return whether a server bound to `host` can be reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bracketed(host: str) -> str:
    """Return a host in the form for URLs: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def answers(url: str, seconds: float = ANSWER_SECONDS) -> bool:
    """Return whether an address answers with success."""
    try:
        with DIRECT.open(url, timeout=seconds) as answer:
            return bool(200 <= answer.status < 300)
    except (OSError, HTTPException, ValueError):
        return False
