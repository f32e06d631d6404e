"""The request head and its answer, without I/O: bytes to a `Handshake`, a `Handshake` to bytes (RFC 6455 section 4).

The head is parsed by h11, the parser that hypercorn uses too, unless it is one of those that cannot be read in two ways
(see `head`). Two parsers that differ on where a request ends are how requests are smuggled, so a connection that is
handed on to hypercorn is judged alike on both sides.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

import attrs
import h11
from websockets.exceptions import InvalidHeader
from websockets.headers import parse_connection, parse_subprotocol, parse_upgrade

from ..errors import RequestError
from ..headers import check_accept
from ..limits import Limits
from .head import parse_plain

END_OF_HEAD = b"\r\n\r\n"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LONE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_LONE_LINE_BREAK = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_FOLD = re.compile(rb"\r\n[ \t]")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # all but tab, CR and LF
_VERSIONS = (b"1.1", b"1.0")
_BODY = frozenset((b"content-length", b"transfer-encoding"))
_USUAL_CONNECTION = ([b"upgrade"], [b"keep-alive, upgrade"])
_USUAL_UPGRADE = [b"websocket"]
HeaderField = tuple[bytes, bytes]
Headers = list[HeaderField]


@attrs.frozen
class Request:
    """A whole and valid request head. Header names are in lower case."""

    method: str
    target: bytes
    http_version: str
    headers: Headers

    def values(self, name: bytes) -> list[bytes]:
        """Return every value of a header, in order."""
        return [value for key, value in self.headers if key == name]

    @property
    def wants_websocket(self) -> bool:
        """The client asks for an upgrade to WebSocket, rightly or wrongly worded."""
        return any(b"websocket" in value.lower() for value in self.values(b"upgrade"))


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


def find_end(head: bytes | bytearray, seen: int) -> int:
    """Return where the request head ends, or -1. ``seen`` bytes were looked at before."""
    at = head.find(END_OF_HEAD, max(0, seen - len(END_OF_HEAD)))
    return at if at < 0 else at + len(END_OF_HEAD)


def check_line_feeds(head: bytes | bytearray, seen: int) -> None:
    """Refuse, before the head is whole, lines that end with LF alone: for us, such a head would never end.

    Raises:
        RequestError: there is one behind the ``seen`` bytes that were looked at before.
    """
    if _LONE_LINE_FEED.search(head, seen):
        raise RequestError(400, "Lines must end with CR and LF.")


def parse_request(head: bytes, limits: Limits) -> Request:
    """Parse a whole request head.

    Raises:
        RequestError: the bytes are no request head of HTTP/1; the status says how to answer.
    """
    plain = parse_plain(head)
    if plain is not None:
        target, fields = plain
        _check_number(len(fields), limits)
        return Request("GET", target, "1.1", fields)
    if _LONE_LINE_BREAK.search(head):
        raise RequestError(400, "Lines must end with CR and LF.")
    if _FOLD.search(head):  # h11 would unfold it, where others see two fields or none (RFC 9112 section 5.2)
        raise RequestError(400, "Header fields must not be folded.")
    if _CONTROL.search(head):  # h11 lets them stand in values, where RFC 9110 section 5.5 has them invalid
        raise RequestError(400, "A request head has no control characters.")
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.request_head)
    try:
        parser.receive_data(head)
        event = parser.next_event()
    except h11.RemoteProtocolError as error:
        raise RequestError(error.error_status_hint, "The request cannot be read.") from error
    if not isinstance(event, h11.Request):
        raise RequestError(400, "The request cannot be read.")
    _check_number(len(event.headers), limits)
    if event.http_version not in _VERSIONS:  # h11 takes any two digits, and for some of them wants no Host
        raise RequestError(505, "This server speaks HTTP/1.1.")
    headers = [(name.lower(), value) for name, value in event.headers.raw_items()]
    if _BODY <= {name for name, _ in headers}:
        # Whoever believes the other one of them sees another request in the body (RFC 9112 section 6.3).
        raise RequestError(400, "A request has Content-Length or Transfer-Encoding, not both.")
    return Request(event.method.decode("ascii"), event.target, event.http_version.decode("ascii"), headers)


def _check_number(fields: int, limits: Limits) -> None:
    if fields > limits.request_fields:
        raise RequestError(431, f"A request has at most {limits.request_fields} header fields.")


def check_upgrade(request: Request) -> Handshake:
    """Check everything that RFC 6455 section 4.2.1 asks of the client.

    Raises:
        RequestError: it asks for something else, or wrongly.
    """
    if request.http_version != "1.1":
        raise RequestError(426, "WebSocket needs HTTP/1.1.", ((b"upgrade", b"websocket"),))
    if request.method != "GET":
        raise RequestError(405, "A WebSocket handshake is a GET request.", ((b"allow", b"GET"),))
    _check_tokens(request)
    for name in (b"content-length", b"transfer-encoding"):
        if any(value.strip() != b"0" for value in request.values(name)):
            raise RequestError(400, "A WebSocket handshake has no body.")
    for value in request.values(b"sec-websocket-extensions"):
        _ascii(value)  # what they mean is looked at when one may be accepted, but they must be words
    if request.values(b"sec-websocket-version") != [b"13"]:
        raise RequestError(426, "This server speaks WebSocket version 13.", ((b"sec-websocket-version", b"13"),))
    raw_path, _, query = request.target.partition(b"?")
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
    if not raw_path.startswith(b"/"):
        raise RequestError(400, "The request target must begin with a slash.")
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


def encode_head(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Build a response head out of header fields that were checked before."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [b"HTTP/1.1 %d %s" % (status, phrase.encode("ascii"))]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join(lines) + END_OF_HEAD


def encode_refusal(error: RequestError) -> bytes:
    """Build the whole response to a request that is not served; the connection ends after it."""
    body = error.detail.encode() + b"\n"
    fields: Sequence[tuple[bytes, bytes]] = (
        (b"Content-Type", b"text/plain; charset=utf-8"),
        (b"Content-Length", b"%d" % len(body)),
        *error.headers,
        (b"Connection", b"close"),
    )
    return encode_head(error.status, fields) + body
