"""A plain ASGI server with one client, both played by a test."""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from typing import Any

import trio
from trio.lowlevel import ParkingLot, checkpoint

Event = MutableMapping[str, Any]


class ASGIServer:
    """Gives an application its events one by one, and keeps what it sends.

    It is strict: the connect event must have been received before anything is sent.
    """

    def __init__(self, *, can_respond: bool = False) -> None:
        self.scope: dict[str, Any] = {
            "type": "websocket",
            "path": "/",
            "query_string": b"",
            "headers": [],
            "subprotocols": ["v1"],
        }
        if can_respond:
            self.scope["extensions"] = {"websocket.http.response": {}}
        self.sent: list[Event] = []
        self.received = 0
        self.gone = False
        self.full = False
        self._room = ParkingLot()
        self._put, self._get = trio.open_memory_channel[Event](math.inf)
        self._put.send_nowait({"type": "websocket.connect"})

    # What the application is given

    async def receive(self) -> Event:
        event = await self._get.receive()
        self.received += 1
        return event

    async def send(self, event: Event) -> None:
        await checkpoint()
        assert self.received, "something was sent before the connect event was received"
        while self.full:
            await self._room.park()
        if self.gone:
            raise OSError("the client is gone")
        self.sent.append(dict(event))

    # What its client does

    def say(self, *messages: str | bytes) -> None:
        for message in messages:
            key, other = ("text", "bytes") if isinstance(message, str) else ("bytes", "text")
            self._put.send_nowait({"type": "websocket.receive", key: message, other: None})

    def leave(self, **how: Any) -> None:
        """Send the disconnect event."""
        self._put.send_nowait({"type": "websocket.disconnect", **how})

    def vanish(self) -> None:
        """Every send fails from now on, and every one that waits; the application is not told otherwise."""
        self.gone = True
        self.drain()

    def stall(self) -> None:
        """Take nothing: every send waits."""
        self.full = True

    def drain(self) -> None:
        """Take everything again."""
        self.full = False
        self._room.unpark_all()

    @property
    def messages(self) -> list[str | bytes]:
        """What the client has got."""
        return [
            event["text"] if event.get("text") is not None else event["bytes"]
            for event in self.sent
            if event["type"] == "websocket.send"
        ]
