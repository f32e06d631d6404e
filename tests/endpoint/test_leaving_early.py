"""A client that leaves before there is an answer to its handshake."""

import pytest
import trio
from trio.testing import MockClock

from wsframework import WebSocket, WebSocketDisconnect, WebSocketEndpoint
from wsframework.testing import connect

HOUR = 3600.0


async def test_leaving_before_accept(autojump_clock: MockClock) -> None:
    """A client that does not wait for the answer is gone: accept says so, and on_disconnect runs."""
    events: list[object] = []

    class Hesitant(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await trio.sleep(5)
            events.append("never")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            events.append(close_code)

    class Quick(Hesitant):
        async def on_connect(self, websocket: WebSocket) -> None:
            await trio.sleep(1.5)
            try:
                await websocket.accept()
            except WebSocketDisconnect as end:
                events.append(end.code)
                raise

    for endpoint in (Hesitant, Quick):
        with pytest.raises(AssertionError, match="waited 1 s for an answer to the handshake"):
            async with connect(endpoint):
                pass
    assert events == [1006, 1006, 1006]


async def test_leaving_before_the_endpoint_begins(autojump_clock: MockClock) -> None:
    """Middleware may take its time: an endpoint that begins when its client has left has its grace, and its goodbye."""
    events: list[object] = []

    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            began = trio.current_time()
            self.start_soon(self.work)
            try:
                await trio.sleep(HOUR)
            finally:
                events.append(trio.current_time() - began)

        async def work(self) -> None:
            await trio.lowlevel.checkpoint()
            events.append("never")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            events.append(close_code)

    async def slowly(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "websocket":
            await trio.sleep(2)
            await Endpoint(scope, receive, send)

    with pytest.raises(AssertionError, match="waited 1 s for an answer to the handshake"):
        async with connect(slowly):
            pass
    assert events == [pytest.approx(1.0), 1006]
