"""The hub and the clients of another ASGI server."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.asgi.server import ASGIServer
from wsframework import App, Hub, Overflow, WebSocket, WebSocketEndpoint


async def test_a_broadcast() -> None:
    """The hub reaches clients of another server, in order with what is sent to them directly."""
    app = App()

    @app.websocket("/")
    class Room(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "room")

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await self.hub.broadcast("room", f"1 {data}")
            await websocket.send_text(f"2 {data}")
            await self.hub.broadcast("room", f"3 {data}")

    server = ASGIServer()
    async with app.hub.running(), trio.open_nursery() as nursery:
        nursery.start_soon(app, server.scope, server.receive, server.send)
        for word in ("a", "b"):
            server.say(word)
            await wait_all_tasks_blocked()
        server.leave()
    assert server.messages == ["1 a", "2 a", "3 a", "1 b", "2 b", "3 b"]


LONG = " " * 70_000  # more than what may be on its way to a server


async def test_a_broadcast_to_a_slow_client(autojump_clock: MockClock) -> None:
    """A client that takes nothing fills its channel and meets the policy; what was sent directly is not dropped."""
    app = App(hub=Hub(capacity=2, overflow=Overflow.DROP_OLDEST))

    @app.websocket("/")
    class Room(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "room")

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text(data)

    server = ASGIServer()
    async with app.hub.running(), trio.open_nursery() as nursery:
        nursery.start_soon(app, server.scope, server.receive, server.send)
        await wait_all_tasks_blocked()
        server.stall()
        for number in range(6):
            await app.hub.broadcast("room", f"{number}{LONG}")
            await wait_all_tasks_blocked()
        server.say("direct")
        await wait_all_tasks_blocked()
        server.drain()
        await wait_all_tasks_blocked()
        server.leave()
    assert [message.strip() for message in server.messages] == ["0", "4", "5", "direct"]


async def test_a_broadcast_and_a_goodbye() -> None:
    """What was published before close() leaves before the close event, and nothing leaves behind it."""
    app = App()

    @app.websocket("/")
    class Room(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "room")
            await self.hub.broadcast("room", "before")
            await websocket.close(4000)
            await self.hub.broadcast("room", "behind")
            await wait_all_tasks_blocked()

    server = ASGIServer()
    async with app.hub.running():
        await app(server.scope, server.receive, server.send)
    assert [event["type"] for event in server.sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert server.messages == ["before"]
