"""A topic as server-sent events, for clients that only read: the `EventSource` of browsers, and `curl`."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

import trio
from starlette.requests import Request
from starlette.responses import Response

from .hub import Gap, Hub, Overflow, Position, Publications, Published

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_NOWHERE = Position("", 0)  # which no topic remembers


class EventStream(Response):
    """A response that streams a topic as server-sent events; return it from an HTTP route.

    Each publication is an event with its position as ``id``. A browser that reconnects sends the last one that it got,
    and is given what it missed, if the hub remembers it. Where publications are missing, there is an event of the type
    ``gap``, with their number as data, or ``null``. Binary data is an event of the type ``binary``, in base64.

    Args:
        hub: the hub.
        topic: the topic's name.
        overflow: the policy for a client that is slow, or the hub's. One that is disconnected reconnects by itself.
        capacity: publications that may wait for it, or the hub's.
        max_bytes: bytes likewise.
        latest: have newcomers begin with the newest publication that is remembered, or with the newest of each key.
        ping_interval: seconds without an event after which a comment is sent, so that nobody in between takes the
            connection for dead.

    The specification is a part of HTML: https://html.spec.whatwg.org/multipage/server-sent-events.html
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        hub: Hub,
        topic: str,
        *,
        overflow: Overflow | None = None,
        capacity: int | None = None,
        max_bytes: int | None = None,
        latest: bool = False,
        ping_interval: float = 15.0,
    ) -> None:
        if not ping_interval > 0:
            raise ValueError(f"ping_interval={ping_interval} is a number of seconds above zero")
        # A stream must not be kept by caches, nor gathered by proxies; the last field is nginx's and others'.
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._hub = hub
        self._topic = topic
        self._bounds: dict[str, Any] = {"overflow": overflow, "capacity": capacity, "max_bytes": max_bytes}
        self._resumes = (hub.overflow if overflow is None else overflow) is not Overflow.LATEST
        self._latest = latest
        self._ping_interval = ping_interval

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        if scope["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        since = self._find_position(Request(scope)) if self._resumes else None
        async with self._hub.listen(
            self._topic, **self._bounds, since=since, latest=self._latest, gaps=True
        ) as publications:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_wait_for_end, receive, nursery.cancel_scope)
                with suppress(OSError):  # what ASGI asks servers to raise when the client has left
                    await send(start)
                    await self._send_events(publications, send)
                nursery.cancel_scope.cancel()

    def _find_position(self, request: Request) -> Position | None:
        last = request.headers.get("last-event-id")
        if not last:
            return None
        try:
            return Position.parse(last)
        except ValueError:
            return _NOWHERE

    async def _send_events(self, publications: Publications[Published | Gap], send: Send) -> None:
        more = True
        while more:
            event = b": still here\n\n"
            with trio.move_on_after(self._ping_interval):
                try:
                    event = _write(await anext(publications))
                except (StopAsyncIteration, trio.BrokenResourceError):  # the hub stops, or this client was too slow
                    event, more = b"", False
            await send({"type": "http.response.body", "body": event, "more_body": more})


async def _wait_for_end(receive: Receive, client: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    client.cancel()


def _write(item: Published | Gap) -> bytes:
    """Write one event."""
    if isinstance(item, Gap):
        return f"event: gap\ndata: {'null' if item.count is None else item.count}\n\n".encode()
    if isinstance(item.data, bytes):
        return f"id: {item.position}\nevent: binary\ndata: {b64encode(item.data).decode()}\n\n".encode()
    # All three are ends of lines there.
    lines = item.data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join([f"id: {item.position}\n", *(f"data: {line}\n" for line in lines), "\n"]).encode()
