"""An application behind our server, an endpoint that watches its clients, and how a client of HTTP/2 gets there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trustme

from tests.net.echo import Echo
from tests.net.http2.client import HTTP2Client, connected
from tests.net.servers import (
    RunningServer,
    ServedOverSockets,
    client_context,
    open_stream,
)
from wsframework import WebSocket


class Watched(Echo):
    """Echoes, subscribes to a topic, and notes how clients went."""

    gone: list[tuple[int, str]]
    scopes: list[Any]

    async def on_connect(self, websocket: WebSocket) -> None:
        self.scopes.append(websocket.scope)
        await websocket.accept("chat" if "chat" in websocket.scope["subprotocols"] else None)
        await self.hub.subscribe(websocket, "all")

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        self.gone.append((close_code, websocket.close_reason))


class Site:
    """A server, and how to connect to it."""

    def __init__(self, server: RunningServer, authority: trustme.CA | None) -> None:
        self.server = server
        self.authority = authority

    @asynccontextmanager
    async def connect(self, *, validate: bool = True) -> AsyncIterator[HTTP2Client]:
        tls = None if self.authority is None else client_context(self.authority, "h2")
        stream = await open_stream(self.server.url, tls)
        async with connected(stream, validate=validate) as client:
            yield client

    def other(self) -> Any:
        """A client of HTTP/1.1, which must not notice anything."""
        return ServedOverSockets(self.server.url, self.authority and client_context(self.authority)).connect()
