"""A room: an application with a hub, whose members are a client and the server's WebSocket for it.

Tests hold both ends, so that one task can publish, send directly and look at what arrives.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import attrs

from wsframework import App, Hub, Receipt, WebSocket, WebSocketDisconnect
from wsframework.testing import Client, NothingReceived, connect

FROZEN = "frozen" * 10  # the last message that the connection of a frozen client takes
NARROW = 8  # a window that is full with that


@attrs.frozen
class Member:
    client: Client
    websocket: WebSocket

    async def freeze(self) -> None:
        """Stall with a write on its way that fills the window: the next one has to wait for the client."""
        self.client.stall()
        await self.websocket.send_text(FROZEN)

    async def receive(self, number: int) -> list[str | bytes]:
        """The next messages, as many as that."""
        return [await self.client.receive() for _ in range(number)]

    async def receive_rest(self) -> list[str | bytes]:
        """Everything that still comes, until the end of the connection or until nothing comes any more."""
        messages: list[str | bytes] = []
        while True:
            try:
                messages.append(await self.client.receive())
            except (NothingReceived, WebSocketDisconnect):
                return messages


class Room:
    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.app = App(hub=hub)
        self._names = count()
        self._websockets: dict[str, WebSocket] = {}

        @self.app.websocket("/{name}")
        async def member(websocket: WebSocket) -> None:
            await websocket.accept()
            self._websockets[websocket.path_params["name"]] = websocket
            async for _ in websocket.iter_text():
                pass

    @asynccontextmanager
    async def join(self, *topics: str, **options: Any) -> AsyncIterator[Member]:
        """Connect a client, with these options of `connect`, and subscribe it."""
        name = str(next(self._names))
        async with connect(self.app, f"/{name}", **options) as client:
            websocket = self._websockets[name]
            for topic in topics:
                await self.hub.subscribe(websocket, topic)
            yield Member(client, websocket)

    def publish(self, topic: str, *messages: Any) -> list[Receipt]:
        """Publish each in a write of its own, as if a scheduler tick had passed after it."""
        receipts = []
        for message in messages:
            receipts.append(self.hub.broadcast_nowait(topic, message))
            repr(receipts[-1])  # whoever looks at a receipt has the message delivered
        return receipts


def assert_empty(hub: Hub) -> None:
    """Nobody subscribes to anything and nothing waits for anybody."""
    now = hub.statistics()
    left = (now.topics, now.subscribers, now.subscriptions, now.behind, now.waiting, now.waiting_bytes)
    assert left == (0,) * 6, now


def numbers(receipt: Receipt) -> tuple[int, int, int, int]:
    """What a receipt says: delivered, queued, dropped, disconnected."""
    return receipt.delivered, receipt.queued, receipt.dropped, receipt.disconnected
