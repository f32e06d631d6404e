"""Endpoints on another ASGI server: a session reads and writes beside them, so the promises hold there too."""

import logging
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.asgi.server import ASGIServer
from wsframework import App, WebSocket, WebSocketDisconnect, WebSocketEndpoint
from wsframework.limits import Limits

LIMITS = Limits()


class Echo(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))


async def test_an_echo() -> None:
    """An endpoint class runs on the plain triple."""
    server = ASGIServer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Echo(server.scope, server.receive, server.send).dispatch)
        server.say("hello", b"\0", "", b"")
        await wait_all_tasks_blocked()
        assert server.messages == ["hello", b"\0", "", b""]
        server.leave(code=1000)


async def test_the_end_as_the_client_said_it() -> None:
    """on_disconnect gets code and reason of the disconnect event."""
    ends: list[Any] = []

    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            ends.append((close_code, websocket.close_reason))

    server = ASGIServer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Endpoint(server.scope, server.receive, server.send).dispatch)
        await wait_all_tasks_blocked()
        server.leave(code=4000, reason="off")
    assert ends == [(4000, "off")]
    assert [event["type"] for event in server.sent] == ["websocket.accept"]


async def test_what_comes_behind_our_close_frame() -> None:
    """It is not handed out, as on our own server: an endpoint that closes has heard enough."""
    ends: list[Any] = []

    class Brief(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.close(4000)
            server.say("late")
            await wait_all_tasks_blocked()
            with pytest.raises(WebSocketDisconnect) as caught:
                await websocket.receive_text()
            ends.append(caught.value.code)

    server = ASGIServer()
    await Brief(server.scope, server.receive, server.send).dispatch()
    assert ends == [4000]


async def test_leaving_is_seen_while_a_hook_is_busy(autojump_clock: MockClock) -> None:
    """The client's leaving cancels children at once and a sleeping hook after its grace, as on our own server."""
    events: list[Any] = []

    class Sleepy(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.sleep, "child")

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await self.sleep("hook")

        async def sleep(self, name: str) -> None:
            try:
                await trio.sleep(3600)
            finally:
                events.append((name, trio.current_time() - left))

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            events.append(close_code)

    server = ASGIServer()
    server.say("")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Sleepy(server.scope, server.receive, server.send).dispatch)
        await trio.sleep(10)
        left = trio.current_time()
        server.leave(code=1001)
    assert events == [("child", pytest.approx(0)), ("hook", pytest.approx(1)), 1001]


async def test_what_was_sent_before_is_delivered(autojump_clock: MockClock) -> None:
    """All messages before the disconnect event reach the hook, also more than the inbox holds."""
    heard: list[str] = []

    class Slow(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep(0.5)
            heard.append(data)

    server = ASGIServer()
    numbers = [str(number) for number in range(3 * LIMITS.inbox_messages)]
    server.say(*numbers)
    server.leave(code=1000)
    await Slow(server.scope, server.receive, server.send)
    assert heard == numbers


async def test_the_inbox_is_bounded(autojump_clock: MockClock) -> None:
    """Who does not receive reads no more than the bound from the server, and reads on when there is room."""

    class Busy(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await working.wait()

    working = trio.Event()
    server = ASGIServer()
    server.say(*["x"] * 1000)
    server.leave()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Busy(server.scope, server.receive, server.send).dispatch)
        await wait_all_tasks_blocked()
        assert server.received <= LIMITS.inbox_messages + 2
        working.set()
    assert server.received == 1002


async def test_closing(autojump_clock: MockClock) -> None:
    """close ends the session; what was sent before leaves before."""

    class Once(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text("bye")
            await websocket.close(4000, "off")

    server = ASGIServer()
    server.say("one", "two")
    await Once(server.scope, server.receive, server.send)
    assert server.messages == ["bye"]
    assert server.sent[-1] == {"type": "websocket.close", "code": 4000, "reason": "off"}


async def test_a_function_returns() -> None:
    """A function that returns closes with 1000 and leaves nothing unsent."""
    app = App()

    @app.websocket("/")
    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        for number in range(3):
            await websocket.send_text(str(number))

    server = ASGIServer()
    await app(server.scope, server.receive, server.send)
    assert server.messages == ["0", "1", "2"]
    assert server.sent[-1] == {"type": "websocket.close", "code": 1000, "reason": ""}


@pytest.mark.parametrize("can_respond", [True, False])
async def test_an_error_before_accept(can_respond: bool, caplog: pytest.LogCaptureFixture) -> None:
    """HTTP 500 where the server can refuse with a response, else a close event; logged once."""

    class Broken(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            raise ZeroDivisionError

    server = ASGIServer(can_respond=can_respond)
    await Broken(server.scope, server.receive, server.send)
    if can_respond:
        assert [event["type"] for event in server.sent] == [
            "websocket.http.response.start",
            "websocket.http.response.body",
        ]
        assert server.sent[0]["status"] == 500
    else:
        assert server.sent == [{"type": "websocket.close", "code": 1011, "reason": ""}]
    [record] = caplog.records
    assert record.message.startswith("Broken at '/' for a client failed; ")


async def test_an_error_behind_accept(caplog: pytest.LogCaptureFixture) -> None:
    """It closes with 1011, and is not raised into the server."""

    class Broken(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            raise ZeroDivisionError

    server = ASGIServer()
    server.say("")
    await Broken(server.scope, server.receive, server.send)
    assert server.sent[-1] == {"type": "websocket.close", "code": 1011, "reason": ""}
    assert len(caplog.records) == 1


async def test_a_cancelled_server(autojump_clock: MockClock) -> None:
    """When the server cancels its task the client is told 1001, and on_disconnect runs."""
    codes: list[int] = []

    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            await trio.sleep(1)
            codes.append(close_code)

    server = ASGIServer()
    with trio.move_on_after(5):
        await Endpoint(server.scope, server.receive, server.send)
    assert codes == [1001]
    assert server.sent[-1] == {"type": "websocket.close", "code": 1001, "reason": ""}


async def test_a_send_that_fails(autojump_clock: MockClock) -> None:
    """A client that is gone is noticed by the first send that fails: then everything ends with 1006."""
    codes: list[int] = []

    class Ticker(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            while True:
                await websocket.send_text("tick")
                await trio.sleep(1)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            codes.append(close_code)

    server = ASGIServer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Ticker(server.scope, server.receive, server.send).dispatch)
        await trio.sleep(2.5)
        server.vanish()
    assert server.messages == ["tick"] * 3
    assert codes == [1006]


async def test_a_client_that_takes_nothing(autojump_clock: MockClock) -> None:
    """A send that waits for the write deadline ends the session, where the server's send can be cancelled."""
    events: list[Any] = []

    class Endpoint(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            try:
                await websocket.send_text("hello?" * 20_000)
            except WebSocketDisconnect as end:
                events.append((end.code, trio.current_time() - began))
                raise

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            events.append(websocket.close_reason)

    server = ASGIServer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Endpoint(server.scope, server.receive, server.send).dispatch)
        await wait_all_tasks_blocked()
        server.stall()
        server.say("")
        began = trio.current_time()
    assert events == [(1006, pytest.approx(LIMITS.write_timeout)), "the client took too little in 10 s"]


async def test_a_cancelled_send(autojump_clock: MockClock) -> None:
    """A send that is cancelled while the client is behind arrives whole, in its place."""

    class Hasty(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            with trio.move_on_after(1):
                await websocket.send_text(data)

    server = ASGIServer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Hasty(server.scope, server.receive, server.send).dispatch)
        await wait_all_tasks_blocked()
        server.stall()
        server.say("a", "b", "c")
        await trio.sleep(5)
        server.drain()
        await wait_all_tasks_blocked()
        server.leave()
    assert server.messages == ["a", "b", "c"]


async def test_raw_events_in_a_session(autojump_clock: MockClock) -> None:
    """receive gives the connect event once, also when the session has read it long ago."""
    events: list[Any] = []
    app = App()

    @app.websocket("/")
    async def raw(websocket: WebSocket) -> None:
        await trio.sleep(1)
        events.append(await websocket.receive())
        await websocket.send({"type": "websocket.accept"})
        events.append(await websocket.receive())
        events.append(await websocket.receive())

    server = ASGIServer()
    server.say("hello")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(app, server.scope, server.receive, server.send)
        await trio.sleep(2)
        server.leave(code=1000)
    assert [event["type"] for event in events] == ["websocket.connect", "websocket.receive", "websocket.disconnect"]


async def test_the_client_is_gone_before_accept(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """accept raises WebSocketDisconnect, which is a normal end."""
    codes: list[int] = []

    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await trio.sleep(0.5)
            await websocket.accept()
            raise AssertionError("not reached")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            codes.append(close_code)

    server = ASGIServer()
    server.leave(code=1006)
    await Endpoint(server.scope, server.receive, server.send)
    assert codes == [1006]
    assert server.sent == []
    assert caplog.records == []


async def test_the_servers_own_error(caplog: pytest.LogCaptureFixture) -> None:
    """What the server's receive raises is the server's: it goes back there, and on_disconnect runs."""
    codes: list[int] = []

    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            codes.append(close_code)

    server = ASGIServer()

    async def receive() -> Any:
        raise ZeroDivisionError("in the server")

    with pytest.raises(ExceptionGroup) as group:
        await Endpoint(server.scope, receive, server.send)
    assert isinstance(group.value.exceptions[0], ZeroDivisionError)
    assert codes == [1006]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_goodbye_has_one_deadline_for_all_that_waits(autojump_clock: MockClock) -> None:
    """A server that takes each message just in time does not keep a cancelled endpoint for as long as it likes."""
    server = ASGIServer()
    began = trio.current_time()

    async def slowly(event: Any) -> None:
        if event["type"] == "websocket.send":
            await trio.sleep(9)
        await server.send(event)

    class Chatty(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            for _ in range(50):
                self.start_soon(websocket.send_text, "hello")
            await trio.sleep_forever()

    with trio.move_on_after(1):
        await Chatty(server.scope, server.receive, slowly)
    assert trio.current_time() - began < 25
