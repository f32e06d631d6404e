"""The handshake of a WebSocket over HTTP/2 (RFC 8441), an extended CONNECT, as the upgrade of HTTP/1.1, and back.

A `Connection` speaks HTTP/1.1. As a proxy between the two versions would, this module gives it the request as an
upgrade, and turns the head of its answer into header fields of HTTP/2.
"""

from __future__ import annotations

import attrs

from ....errors import RequestError
from ...head.handshake import Handshake, check_upgrade
from ...head.reader import no_proxy
from ...head.request import Headers, Request, check_path

# What only an upgrade of HTTP/1.1 has: a Connection wants to see it, and a client of HTTP/2 must not send it.
_UPGRADE: Headers = [
    (b"connection", b"Upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
]
_OF_AN_UPGRADE = frozenset(name for name, _ in _UPGRADE) | {b"sec-websocket-accept"}


def read_connect(fields: Headers) -> Handshake:
    """Read the request that opened a stream as an upgrade.

    Raises:
        RequestError: it asks for something else, or wrongly.
    """
    pseudo = {name: value for name, value in fields if name.startswith(b":")}
    if b":protocol" not in pseudo:
        raise no_proxy()
    if pseudo[b":protocol"] != b"websocket":
        raise RequestError(501, "The only protocol that can be asked for is websocket.")  # RFC 9220 section 3
    path = pseudo.get(b":path", b"")
    check_path(path)  # the host has a field of its own (RFC 9113 section 8.3.1)
    headers = _regular(fields)
    request = Request("GET", path, "1.1", [*headers, *_UPGRADE])
    handshake = check_upgrade(request)
    return attrs.evolve(handshake, request=attrs.evolve(request, http_version="2", headers=headers))


def _regular(fields: Headers) -> Headers:
    """Return the header fields as an application expects them, with a Host field (RFC 9113 section 8.3.1)."""
    kept = [
        (bytes(name), bytes(value))
        for name, value in fields
        if not name.startswith(b":") and name not in _OF_AN_UPGRADE and name != b"host"
    ]
    host = next((value for name, value in fields if name in (b":authority", b"host")), b"")
    return [(b"host", bytes(host)), *kept]


def translate_answer(head: bytes) -> tuple[int, Headers]:
    """Turn the head of an answer into a status and header fields."""
    status, *lines = head.split(b"\r\n")
    code = int(status.split(b" ")[1])
    fields = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]
    fields = [(name, value) for name, value in fields if name not in _OF_AN_UPGRADE]
    return (200 if code == 101 else code), fields
