"""The body of a request over HTTP/2: as much of it waits for the application as the stream's window lets come.

hypercorn has the reader of a connection wait for the application of one request, for ever if that one answers without
having read the body: nothing else of that connection is read then, WebSockets included. Here the reader never waits.
What has come is kept, at most a window of 64 KiB, and the window is opened again by what the application takes.

An application that waits for more of a body waits for `Limits.body_timeout` at most, as it does over HTTP/1.1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

import trio
from trio.lowlevel import ParkingLot, checkpoint


class RequestBody:
    """Between hypercorn's stream, which puts events, and an application, which receives them.

    Args:
        on_taken: called with a number of bytes that the application has taken.
        on_late: called when nothing of the body has come for too long while the application waited for it. It has to
            put a disconnect.
        timeout: seconds that are too long.
    """

    def __init__(self, on_taken: Callable[[int], None], on_late: Callable[[], Awaitable[None]], timeout: float) -> None:
        self._on_taken = on_taken
        self._on_late = on_late
        self._timeout = timeout  # until all of it has come; it may take any time until the client leaves
        self._data = bytearray()  # joined: thousands of frames of one byte each cost no more than their bytes
        self._last: deque[Any] = deque()  # the end of the body, a disconnect
        self._lot = ParkingLot()

    async def put(self, event: Any) -> None:
        """Take an event in; it never waits."""
        if event["type"] == "http.request" and event["more_body"]:
            self._data += event["body"]
        else:
            self._last.append(event)
            self._timeout = inf
        self._lot.unpark_all()

    async def receive(self) -> Any:
        """Return what comes next, as ASGI has it. Cancelling it loses nothing."""
        await checkpoint()
        while not (self._data or self._last):
            with trio.move_on_after(self._timeout) as patience:
                await self._lot.park()
            if patience.cancelled_caught:
                await self._on_late()
        if not self._data:
            return self._last.popleft()
        body = bytes(self._data)
        self._data.clear()
        self._on_taken(len(body))
        return {"type": "http.request", "body": body, "more_body": True}
