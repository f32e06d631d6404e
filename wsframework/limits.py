"""Every bound that protects the server, in one place, with the value it has when nobody chooses."""

from __future__ import annotations

import attrs

KIB = 1024
MIB = 1024 * KIB


_MAY_BE_NONE = frozenset(
    ("ping_interval", "connections", "connections_per_address", "messages_per_second", "bytes_per_second")
)


@attrs.frozen(kw_only=True)
class Limits:
    """What clients may cost. All sizes are bytes, all times are seconds; the bounds are for one connection each,
    except where they say otherwise.

    Precedents for the defaults: a message of 1 MiB is what daphne and the `websockets` library allow; the request head
    has h11's and hypercorn's 16 KiB; a minute for a body is nginx's, ten seconds to write are SignalR's, twenty for a
    pong are uvicorn's.
    """

    request_head: int = 16 * KIB
    """Longest request line and header fields together."""
    request_fields: int = 128
    """Most header fields in a request."""
    handshake_timeout: float = 10.0
    """From the first byte of a connection (or of TLS) to the whole request head."""
    body_timeout: float = 60.0
    """Longest silence of a client in the middle of a body that is being read; then the request is answered with 408."""

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
    """How long the other side has to answer our close frame, from when that has left. While something waits in front of
    it: how long a client may take less than 64 KiB of that."""
    ping_interval: float | None = 20.0
    """Silence from a client after which it is sent a ping; None never pings."""
    ping_timeout: float = 20.0
    """How long it then has to send anything at all; after that the connection is cut."""

    connections: int | None = None
    """Most connections of one server at a time, and each worker process has its own; one more is answered with 503
    before its request is read. None: what the limit of open files allows, less a reserve for the application's own."""
    connections_per_address: int | None = None
    """Most connections from one address, or one /64 network of IPv6. None, since a proxy is one address: no bound."""
    messages_per_second: float | None = None
    """Messages a client may send per second, on average; None: no bound. Above it the server reads more slowly."""
    bytes_per_second: float | None = None
    """Bytes likewise."""
    throttle_timeout: float = 10.0
    """How long a client may go on above these rates before it is closed with 1008."""

    drain_timeout: float = 10.0
    """From the wish to stop to the moment when handlers that still run are cancelled. Of the whole server."""

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(Limits):
            value = getattr(self, field.name)
            if value is None and field.name in _MAY_BE_NONE:
                continue
            if not isinstance(value, (int, float)) or not value > 0:  # not NaN either
                raise ValueError(f"Limits({field.name}={value!r}): a limit is a number above zero")
