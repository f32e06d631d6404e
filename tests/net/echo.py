"""Endpoints that echo, and clients that see whether they do."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from tests.net.servers import RunningServer, ServedOverSockets
from wsframework import App, WebSocket, WebSocketEndpoint, WebSocketRoute
from wsframework.testing import Client


class Echo(WebSocketEndpoint):
    """Sends back what it gets, as what it came: text or binary."""

    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))


ECHO = App(routes=[WebSocketRoute("/", Echo)])


class Watched(Echo):
    """Echoes, and notes who came and how they went. A test makes one of its own with `fresh`."""

    came = 0
    gone: list[tuple[int, str]]

    @classmethod
    def fresh(cls) -> type[Watched]:
        """Return one that has seen nobody yet."""
        return type(cls.__name__, (cls,), {"came": 0, "gone": []})

    async def on_connect(self, websocket: WebSocket) -> None:
        type(self).came += 1
        await websocket.accept()

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        self.gone.append((close_code, websocket.close_reason))


def connect(server: RunningServer) -> AbstractAsyncContextManager[Client]:
    """Connect a client to the first URL of a server."""
    return ServedOverSockets(server.url).connect()


async def check_echo(client: Client, text: str = "are you there?") -> None:
    """See that the endpoint echoes."""
    await client.send(text)
    assert await client.receive() == text
