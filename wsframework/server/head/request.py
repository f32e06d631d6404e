"""A request head, parsed without I/O: bytes to a `Request`. See this folder's first page for who judges what.

`plain` reads the head that nearly every client sends. Any other is h11's, which hypercorn uses too, and what h11 lets
pass but others may read differently is refused before it gets there.
"""

from __future__ import annotations

import re

import attrs
import h11

from ...errors import RequestError
from ...limits import Limits
from .plain import parse_plain

HeaderField = tuple[bytes, bytes]
Headers = list[HeaderField]

END_OF_HEAD = b"\r\n\r\n"
_LONE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_LONE_LINE_BREAK = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_FOLD = re.compile(rb"\r\n[ \t]")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # all but tab, CR and LF
_WHOLE_URL = re.compile(rb"https?://([^/?#@]+)((?:[/?].*)?)", re.IGNORECASE)
_VERSIONS = (b"1.1", b"1.0")
_BODY = frozenset((b"content-length", b"transfer-encoding"))


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


def find_path(request: Request) -> bytes:
    """Return the target from its path on. It may be a whole URL (RFC 9112 section 3.2.2, RFC 6455 section 4.2.1).

    The host of that URL counts more than the Host field, and a client has to send the same in both. If it does not,
    somebody is deceived: a proxy that looked at one of them, or the check of the Origin, which looks at the other.

    Raises:
        RequestError: there is no path, or the hosts differ.
    """
    url = None if request.target.startswith(b"/") else _WHOLE_URL.fullmatch(request.target)
    if url is None:
        check_path(request.target)
        return request.target
    host, path = url.groups()
    if [host.lower()] != [value.lower() for value in request.values(b"host")]:
        raise RequestError(400, "The request target and the Host header must name the same host.")
    return path if path.startswith(b"/") else b"/" + path


def check_path(path: bytes) -> None:
    """Refuse what does not begin with a slash: put behind a host, it would change which host that is.

    Raises:
        RequestError: it does not.
    """
    if not path.startswith(b"/"):
        raise RequestError(400, "The request target must begin with a slash.")


def asks_for_no_path(method: str, target: bytes) -> bool:
    """Say whether this is about the server as a whole (RFC 9112 section 3.2.4)."""
    return target == b"*" and method == "OPTIONS"


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
        check_number(len(fields), limits)
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
    check_number(len(event.headers), limits)
    if event.http_version not in _VERSIONS:  # h11 takes any two digits, and for some of them wants no Host
        raise RequestError(505, "This server speaks HTTP/1.1.")
    headers = [(name.lower(), value) for name, value in event.headers.raw_items()]
    if _BODY <= {name for name, _ in headers}:
        # Whoever believes the other one of them sees another request in the body (RFC 9112 section 6.3).
        raise RequestError(400, "A request has Content-Length or Transfer-Encoding, not both.")
    return Request(event.method.decode("ascii"), event.target, event.http_version.decode("ascii"), headers)


def check_number(fields: int, limits: Limits) -> None:
    """Refuse a head with so many fields if that is too many.

    Raises:
        RequestError: it is.
    """
    if fields > limits.request_fields:
        raise RequestError(431, f"A request has at most {limits.request_fields} header fields.")
