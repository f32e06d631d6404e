"""Every bound that protects the server, in one place, with the value it has when nobody chooses."""

from __future__ import annotations

import attrs

KIB = 1024
MIB = 1024 * KIB


@attrs.frozen(kw_only=True)
class Limits:
    """What one connection may cost. All sizes are bytes, all times are seconds.

    Precedents for the defaults: a message of 1 MiB is what daphne and the `websockets` library allow; the request head
    has h11's and hypercorn's 16 KiB; ten seconds to write are SignalR's, twenty for a pong are uvicorn's.
    """

    request_head: int = 16 * KIB
    """Longest request line and header fields together."""
    request_fields: int = 128
    """Most header fields in a request."""
    handshake_timeout: float = 10.0
    """From the first byte of a connection (or of TLS) to the whole request head."""

    message: int = 1 * MIB
    """Largest message a client may send, over all its fragments."""
    fragments: int = 4096
    """Most frames in one fragmented message."""
    inbox_messages: int = 64
    """Messages that wait for their endpoint before the server stops reading from that client."""
    inbox_bytes: int = 1 * MIB
    """Bytes that wait likewise; one message more may be on its way when the bound is met."""

    write_timeout: float = 10.0
    """How long a client may take less than 64 KiB, or all of it, of what waits for it; then the connection is cut."""
    close_timeout: float = 5.0
    """How long the other side has to answer our close frame."""
    ping_interval: float | None = 20.0
    """Silence from a client after which it is sent a ping; None never pings."""
    ping_timeout: float = 20.0
    """How long it then has to send anything at all; after that the connection is cut."""

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(Limits):
            value = getattr(self, field.name)
            if value is None and field.name == "ping_interval":
                continue
            if not isinstance(value, (int, float)) or not value > 0:  # not NaN either
                raise ValueError(f"Limits({field.name}={value!r}): a limit is a number above zero")
