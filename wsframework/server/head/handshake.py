"""The WebSocket handshake without I/O: a `Request` to a `Handshake`, a `Handshake` to bytes (RFC 6455 section 4)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

import attrs
from websockets.exceptions import InvalidHeader
from websockets.headers import parse_connection, parse_subprotocol, parse_upgrade

from ...errors import RequestError
from ...headers import check_accept
from .request import HeaderField, Request, find_path
from .response import encode_head

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_WEBSOCKET = (b"upgrade", b"websocket")  # which 426 names (RFC 9110 section 15.5.22)
_USUAL_CONNECTION = ([b"upgrade"], [b"keep-alive, upgrade"])
_USUAL_UPGRADE = [b"websocket"]


@attrs.frozen
class Handshake:
    """An upgrade request that may be accepted."""

    request: Request
    key: bytes
    path: str
    raw_path: bytes
    query_string: bytes
    subprotocols: list[str]

    @property
    def extensions(self) -> list[bytes]:
        """Every offer of extensions, as it came."""
        return self.request.values(b"sec-websocket-extensions")


def check_upgrade(request: Request) -> Handshake:
    """Check everything that RFC 6455 section 4.2.1 asks of the client.

    Raises:
        RequestError: it asks for something else, or wrongly.
    """
    if request.http_version != "1.1":
        raise RequestError(426, "WebSocket needs HTTP/1.1.", (_WEBSOCKET,))
    if request.method != "GET":
        raise RequestError(405, "A WebSocket handshake is a GET request.", ((b"allow", b"GET"),))
    _check_tokens(request)
    for name in (b"content-length", b"transfer-encoding"):
        if any(value.strip() != b"0" for value in request.values(name)):
            raise RequestError(400, "A WebSocket handshake has no body.")
    for value in request.values(b"sec-websocket-extensions"):
        _ascii(value)  # what they mean is looked at when one may be accepted, but they must be words
    if request.values(b"sec-websocket-version") != [b"13"]:
        version = (b"sec-websocket-version", b"13")
        raise RequestError(426, "This server speaks WebSocket version 13.", (_WEBSOCKET, version))
    raw_path, _, query = find_path(request).partition(b"?")
    return Handshake(
        request, _check_key(request), _decode_path(raw_path), raw_path, query, _offered_subprotocols(request)
    )


def _check_tokens(request: Request) -> None:
    connections, upgrades = request.values(b"connection"), request.values(b"upgrade")
    if [value.lower() for value in connections] in _USUAL_CONNECTION and upgrades == _USUAL_UPGRADE:
        return
    try:
        connection = [token for value in connections for token in parse_connection(_ascii(value))]
        upgrade = [token for value in upgrades for token in parse_upgrade(_ascii(value))]
    except InvalidHeader as error:
        raise RequestError(400, "The Connection or Upgrade header cannot be read.") from error
    if "upgrade" not in (token.lower() for token in connection):
        raise RequestError(400, "The Connection header must say Upgrade.")
    if [token.lower() for token in upgrade] != ["websocket"]:
        raise RequestError(400, "The Upgrade header must say websocket and nothing else.")


def _check_key(request: Request) -> bytes:
    keys = request.values(b"sec-websocket-key")
    if len(keys) != 1:
        raise RequestError(400, "There must be one Sec-WebSocket-Key header.")
    try:
        nonce = base64.b64decode(keys[0], validate=True)
    except binascii.Error as error:
        raise RequestError(400, "Sec-WebSocket-Key must be in base64.") from error
    if len(nonce) != 16:
        raise RequestError(400, "Sec-WebSocket-Key must stand for 16 bytes.")
    return keys[0]


def _decode_path(raw_path: bytes) -> str:
    try:
        return unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError as error:
        raise RequestError(400, "The path must be UTF-8.") from error


def _offered_subprotocols(request: Request) -> list[str]:
    try:
        return [
            str(name)
            for value in request.values(b"sec-websocket-protocol")
            for name in parse_subprotocol(_ascii(value))
        ]
    except InvalidHeader as error:
        raise RequestError(400, "The Sec-WebSocket-Protocol header cannot be read.") from error


def _ascii(value: bytes) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError as error:
        raise RequestError(400, "A header of the handshake has bytes that are not ASCII.") from error


def accept_key(key: bytes) -> bytes:
    """Compute the proof that we speak WebSocket (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def encode_accept(
    handshake: Handshake, subprotocol: str | None = None, headers: Iterable[HeaderField] = (), extensions: str = ""
) -> bytes:
    """Build the answer that completes the handshake.

    Raises:
        TypeError: a header is no pair of bytes.
        ValueError: the subprotocol was not offered, or a header must not travel.
    """
    headers = list(headers)
    check_accept(handshake.subprotocols, subprotocol, headers)
    fields = [
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Accept", accept_key(handshake.key)),
    ]
    if subprotocol is not None:
        fields.append((b"Sec-WebSocket-Protocol", subprotocol.encode("ascii")))
    if extensions:
        fields.append((b"Sec-WebSocket-Extensions", extensions.encode("ascii")))
    return encode_head(101, [*fields, *headers])
