"""Clients without a connection, for tests that decide exactly when a client takes what.

A fake takes ``room`` more writes and is behind then, as a socket whose buffer is full, until it is resumed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Any

from tests.hub.rooms import assert_empty
from wsframework import Gap, Hub, Receipt, WebSocket
from wsframework.compression import Compression
from wsframework.messages import Message
from wsframework.session import Session
from wsframework.transport import RawHeaders, Transport


def tell(gap: Gap) -> str:
    """Be an ``on_gap`` that says in the stream what is missing."""
    return f"[{gap.count} after {gap.since.offset}]"


class CountingFormat:
    """Messages as lists, and how often one was encoded."""

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, message: Message) -> list[Message]:
        self.encoded += 1
        return [message]

    def join(self, encoded: Sequence[list[Message]]) -> list[Message]:
        return [message for messages in encoded for message in messages]


class FakeClient(Transport):
    def __init__(self, wire_format: CountingFormat) -> None:
        super().__init__()
        self.wire_format = wire_format
        self.accepted = True
        self.room: float = inf
        self.writes: list[list[Message]] = []
        self.websocket = WebSocket({"type": "websocket"}, self.asgi_receive, self.asgi_send)
        self._session = Session(self.websocket, "a test")

    @property
    def got(self) -> list[Message]:
        return [message for write in self.writes for message in write]

    def stall(self) -> None:
        self.room = 0

    def resume(self, room: float = inf) -> None:
        """Take everything that was offered, and this many writes more."""
        self.room = room
        if self.mailbox is not None:
            self.mailbox.drained()
        self._wake_senders()

    def leave(self) -> None:
        """Be closed and forgotten, as a session does it at its end."""
        mailbox = self.mailbox
        if mailbox is not None:
            mailbox.empty()
            mailbox.leave()
        self.cut_off(1000)

    @property
    def behind(self) -> bool:
        return self.room <= 0

    @property
    def crowded(self) -> bool:
        return False

    def offer(self, encoded: list[Message], messages: int = 1) -> bool:
        if not self._mute:
            self.writes.append(encoded)
            self.room -= 1
        return not self.behind

    async def accept(
        self, subprotocol: str | None = None, headers: RawHeaders = (), compression: Compression = None
    ) -> None:
        raise NotImplementedError

    async def send(self, message: Message) -> None:
        raise NotImplementedError

    async def start_response(self, status: int, headers: RawHeaders) -> None:
        raise NotImplementedError

    async def send_body(self, body: bytes, more: bool) -> None:
        raise NotImplementedError

    def _make_room(self) -> None:
        raise NotImplementedError

    def _close(self, code: int, reason: str, *, by_us: bool) -> None:
        self._mute = True
        self._begin_end(code, reason, by_us=by_us)


class Stage:
    """A hub that runs, and its fake clients."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.wire_format = CountingFormat()
        self._clients: list[FakeClient] = []

    async def enter(self, *topics: str, client: type[FakeClient] = FakeClient, **options: Any) -> Any:
        """A new client that subscribes to these topics with these options."""
        self._clients.append(client(self.wire_format))
        for topic in topics:
            await self.hub.subscribe(self._clients[-1].websocket, topic, **options)
        return self._clients[-1]

    def publish(self, topic: str, *messages: Any, **options: Any) -> list[Receipt]:
        """Publish each in a write of its own, as if a scheduler tick had passed after it."""
        receipts = []
        for message in messages:
            receipts.append(self.hub.broadcast_nowait(topic, message, **options))
            repr(receipts[-1])  # whoever looks at a receipt has the message delivered
        return receipts

    def leave(self) -> None:
        for client in self._clients:
            client.leave()


@asynccontextmanager
async def stage(**options: Any) -> AsyncIterator[Stage]:
    """Have a hub with these options run; at the end everybody leaves, and it must be empty."""
    hub = Hub(**options)
    async with hub.running():
        here = Stage(hub)
        yield here
        here.leave()
    assert_empty(hub)
