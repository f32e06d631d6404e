"""The heads of answers, and the whole answer to a request that is not served, as bytes of HTTP/1.1."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

from ...errors import RequestError
from .request import END_OF_HEAD


def encode_head(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Build a response head out of header fields that were checked before."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [b"HTTP/1.1 %d %s" % (status, phrase.encode("ascii"))]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join(lines) + END_OF_HEAD


def date_field() -> tuple[bytes, bytes]:
    """Return the Date that every answer to a request has, other than 101 (RFC 9110 section 6.6.1)."""
    return b"Date", formatdate(usegmt=True).encode("ascii")


def encode_refusal(error: RequestError) -> bytes:
    """Build the whole response to a request that is not served; the connection ends after it."""
    body = error.detail.encode() + b"\n"
    fields = [
        date_field(),
        (b"Content-Type", b"text/plain; charset=utf-8"),
        (b"Content-Length", b"%d" % len(body)),
        *error.headers,
        # Who sends Upgrade names it here, too (RFC 9110 section 7.8).
        (b"Connection", b"close, Upgrade" if any(name == b"upgrade" for name, _ in error.headers) else b"close"),
    ]
    return encode_head(error.status, fields) + body
