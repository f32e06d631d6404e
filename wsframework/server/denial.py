"""A handshake that is refused with a response of the application's own: its bytes, without I/O."""

from __future__ import annotations

from ..headers import check_header
from ..transport import RawHeaders
from .head.response import date_field, encode_head

_WITHOUT_BODY = (204, 304)
_OURS = (b"connection", b"transfer-encoding")


class Denial:
    """The response.

    Without a length, the end of a body is the end of the connection, which a client cannot tell from a loss, and which
    wsproto and trio-websocket do not take for an end at all. So such a body is chunked. HTTP/2 has ends of its own.

    Args:
        status: of the response.
        headers: its header fields; those that say how it ends are ours to add.
        http_version: of the request, None when that was answered before.

    Attributes:
        head: to be sent first.
        end: to be sent last.

    Raises:
        TypeError: a header is no pair of bytes.
        ValueError: a header must not travel.
    """

    __slots__ = ("_chunked", "end", "head")

    def __init__(self, status: int, headers: RawHeaders, http_version: str | None) -> None:
        fields = [(name, value) for name, value in headers if name.lower() not in _OURS]
        for name, value in fields:
            check_header(name, value)
        names = {name.lower() for name, _ in fields}
        if b"date" not in names:
            fields.append(date_field())
        has_end = status in _WITHOUT_BODY or b"content-length" in names
        self._chunked = http_version == "1.1" and not has_end
        if self._chunked:
            fields.append((b"Transfer-Encoding", b"chunked"))
        self.head: bytes = encode_head(status, [*fields, (b"Connection", b"close")])
        self.end: bytes = b"0\r\n\r\n" if self._chunked else b""

    def encode(self, body: bytes) -> bytes:
        """Build what a part of the body is on the wire. An empty part is nothing, not the end."""
        return b"%x\r\n%b\r\n" % (len(body), body) if self._chunked and body else body
