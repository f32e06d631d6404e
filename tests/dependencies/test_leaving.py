"""How dependencies end when their client leaves or their endpoint is cancelled: in peace, and in bounded time."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
import trio
from trio.testing import MockClock

from tests.dependencies.resources import Log, resource
from wsframework import App, Depends, WebSocket, WebSocketDisconnect, WebSocketEndpoint
from wsframework.testing import connect


@pytest.mark.parametrize("kind", ["function", "class", "message"])
async def test_cancellation(kind: str, autojump_clock: MockClock) -> None:
    """When the grace of a hook is over, it is cancelled; its dependencies see that, and clean up in peace."""
    log: Log = []
    app = App()
    make = Depends(resource("a", log), scope="message" if kind == "message" else "connection")

    async def function(websocket: WebSocket, a: str = make) -> None:
        await websocket.accept()
        await trio.sleep_forever()

    class OnConnect(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket, a: str = Depends(resource("a", log))) -> None:
            await function(websocket)

    class OnReceive(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str, a: str = make) -> None:
            await trio.sleep_forever()

    endpoints: dict[str, Any] = {"function": function, "class": OnConnect, "message": OnReceive}
    app.websocket("/")(endpoints[kind])
    async with connect(app, deadline=3) as client:
        await client.send("x")
        await client.close()
    assert log == ["open a", "a sees Cancelled", "close a"]


async def test_cancellation_with_children_that_take_their_time(autojump_clock: MockClock) -> None:
    """A dependency sees one cancellation, however many tasks were cancelled."""
    log: Log = []
    app = App()

    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(0.5, shield=True):
                await trio.sleep_forever()
            log.append("child ends")

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, a: Annotated[str, Depends(resource("a", log))]) -> None:
        await websocket.accept()
        await trio.sleep(0.9)
        websocket.start_soon(child)
        await trio.sleep_forever()

    async with connect(app, deadline=5) as client:
        await client.close()
    assert log == ["open a", "child ends", "a sees Cancelled", "close a"]


@pytest.mark.parametrize("scope", ["handshake", "connection", "message"])
async def test_clean_up_is_bounded(scope: Any, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """One that hangs is cancelled after five seconds, with a warning; the connection goes on or ends as it would."""

    early = "handshake" if scope == "message" else scope  # on_connect can have no message-scoped one

    async def hang() -> AsyncIterator[None]:
        yield
        await trio.sleep_forever()

    class OnReceive(WebSocketEndpoint):
        async def on_receive(
            self, websocket: WebSocket, data: str, _: Annotated[None, Depends(hang, scope="message")]
        ) -> None:
            await websocket.send_text(data)

    class OnConnect(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket, _: None = Depends(hang, scope=early)) -> None:
            await websocket.accept()

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text(data)

    app = App()
    app.websocket("/")(OnReceive if scope == "message" else OnConnect)
    started = trio.current_time()
    async with connect(app, deadline=7) as client:
        for text in ("a", "b"):
            await client.send(text)
            assert await client.receive() == text
    waited = trio.current_time() - started
    assert waited == pytest.approx(10 if scope == "message" else 5)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == (2 if scope == "message" else 1)
    assert "cancelled after 5 s" in warnings[0].message


async def test_children_end_first(autojump_clock: MockClock) -> None:
    """Tasks of the connection end before the dependencies that they may be using."""
    log: Log = []
    app = App()

    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            log.append("child ends")

    @app.websocket("/")
    async def function(websocket: WebSocket, a: Annotated[str, Depends(resource("a", log))]) -> None:
        await websocket.accept()
        websocket.start_soon(child)
        await trio.sleep(1)

    async with connect(app, deadline=2) as client:
        await client.wait_closed()
    assert log == ["open a", "child ends", "close a"]


async def test_a_client_that_leaves_while_they_are_made(autojump_clock: MockClock) -> None:
    """After the grace it is cancelled, and what was opened is closed. Nobody is told of an error."""
    log: Log = []

    async def slow() -> None:
        log.append("slow")
        await trio.sleep_forever()

    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket, a: Annotated[str, Depends(resource("a", log))], b: Annotated[None, Depends(slow)]
    ) -> None:
        log.append("entered")

    with pytest.raises(AssertionError, match="waited 1 s for an answer to the handshake"):
        async with connect(app):
            pass
    assert log == ["open a", "slow", "a sees Cancelled", "close a"]


async def test_a_disconnect_in_a_message(autojump_clock: MockClock) -> None:
    """A hook that could not answer any more failed as far as its own dependencies are concerned, and no others."""
    log: Log = []
    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_receive(
            self,
            websocket: WebSocket,
            data: str,
            a: Annotated[str, Depends(resource("a", log))],
            tx: Annotated[str, Depends(resource("tx", log), scope="message")],
        ) -> None:
            await websocket.close()
            await websocket.send_text("too late")

    async with connect(app) as client:
        await client.send("x")
        with pytest.raises(WebSocketDisconnect):
            await client.receive()
    assert log == ["open a", "open tx", "tx sees WebSocketDisconnect", "close tx", "close a"]
