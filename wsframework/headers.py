"""What an application may say in its answer to a handshake: header fields and a subprotocol that can travel."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")  # RFC 9110 section 5.6.2
_NEVER_IN_A_VALUE = re.compile(rb"[\r\n\0]")
_OF_A_BODY = frozenset((b"content-length", b"transfer-encoding"))  # 101 has none (RFC 9110 section 8.6, 9112 6.1)
_THE_SERVERS = frozenset(
    (b"upgrade", b"connection", b"sec-websocket-accept", b"sec-websocket-protocol", b"sec-websocket-extensions")
)


def check_header(name: bytes, value: bytes) -> None:
    """Refuse a header that would let its value break out of its line.

    Raises:
        TypeError: name or value are no bytes.
        ValueError: the name is no token, or the value holds CR, LF or NUL.
    """
    if not isinstance(name, bytes) or not isinstance(value, bytes):
        raise TypeError(f"headers are pairs of bytes such as (b'x-room', b'1'), not ({name!r}, {value!r})")
    if not _TOKEN.match(name):
        raise ValueError(f"{name!r} is no header name")
    if _NEVER_IN_A_VALUE.search(value):
        raise ValueError(f"the value of header {name.decode()} holds CR, LF or NUL, which must not travel")


def check_accept(offered: Collection[str], subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse what an answer that accepts must not say.

    Raises:
        TypeError: the headers are no pairs of bytes.
        ValueError: the subprotocol was not offered (RFC 6455 section 4.2.2), or a header must not travel, is the
            server's own, or speaks of a body.
    """
    if subprotocol is not None and subprotocol not in offered:
        offer = ", ".join(offered) or "none"
        raise ValueError(f"subprotocol {subprotocol!r} was not offered by the client (it offered: {offer})")
    for pair in headers:
        try:
            name, value = pair
        except (TypeError, ValueError):  # what one gets of a dict is its keys
            raise TypeError(
                f"headers are a list of pairs of bytes, such as [(b'x-room', b'1')]; {pair!r} is none"
            ) from None
        check_header(name, value)
        if name.lower() in _OF_A_BODY:
            raise ValueError(f"{name.decode()} must not be in an answer that accepts, which has no body; leave it out")
        if name.lower() in _THE_SERVERS:
            raise ValueError(f"{name.decode()} is the server's to send; use accept(subprotocol=...) for a subprotocol")
