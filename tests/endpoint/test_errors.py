"""A hook that raises: its connection ends with 1011, one log line says where and why, and nobody else notices."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from wsframework import App, WebSocket, WebSocketDisconnect, WebSocketEndpoint
from wsframework.testing import connect


class Fragile(WebSocketEndpoint):
    """Breaks when it is told to."""

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        if data == "break":
            raise ZeroDivisionError("as told")
        await websocket.send_text(data)


async def test_logged_once_with_context(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """The log line names the endpoint, the path, the client and the close, and has the traceback."""
    app = App()
    app.websocket("/fragile/{thing}")(Fragile)
    async with connect(app, "/fragile/vase", raise_app_errors=False) as client:
        await client.send("break")
        await client.wait_closed()
    [record] = caplog.records
    assert (record.name, record.levelno) == ("wsframework.endpoint", logging.ERROR)
    assert record.message == (
        "Fragile at '/fragile/vase' for 127.0.0.1:50000 failed; its connection ended with 1011 (internal error)"
    )
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


async def test_another_client_goes_on(autojump_clock: MockClock) -> None:
    """The connection of somebody else is not touched, before or after."""
    app = App()
    app.websocket("/")(Fragile)
    async with connect(app) as other:
        await other.send("before")
        assert await other.receive() == "before"
        async with connect(app, raise_app_errors=False) as client:
            await client.send("break")
            assert (await client.wait_closed()).code == 1011
        await other.send("after")
        assert await other.receive() == "after"


async def test_what_was_sent_before_arrives(autojump_clock: MockClock) -> None:
    """An error does not take back what was sent before it; what the client sent behind it is not handled."""

    class Talkative(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text(data)
            if data == "two":
                raise ZeroDivisionError

    async with connect(Talkative, raise_app_errors=False) as client:
        for word in ("one", "two", "three"):
            await client.send(word)
        assert [await client.receive(), await client.receive()] == ["one", "two"]
        assert (await client.wait_closed()).code == 1011


async def test_children_end_with_a_failed_hook(autojump_clock: MockClock) -> None:
    """An error ends the children too, before on_disconnect."""
    events: list[str] = []

    class Parent(Fragile):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.tick)

        async def tick(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                events.append("child")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            events.append("goodbye")

    async with connect(Parent, raise_app_errors=False) as client:
        await client.send("break")
        await client.wait_closed()
    assert events == ["child", "goodbye"]


async def test_a_disconnect_that_reaches_the_top(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Receiving until the client leaves, in any hook, is a normal end."""
    codes: list[int] = []

    class Reader(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            while True:
                await websocket.receive_text()

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            codes.append(close_code)

    async with connect(Reader) as client:
        await client.send("")
        await client.close(4000)
    assert codes == [4000]
    assert caplog.records == []


async def read(websocket: WebSocket) -> None:
    while True:
        await websocket.receive_text()


async def in_a_nursery(function: Callable[..., Any], *args: Any) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(function, *args)
        nursery.start_soon(trio.sleep_forever)


@pytest.mark.parametrize("depth", [1, 2])
async def test_a_disconnect_out_of_a_nursery(
    depth: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A hook's own nursery wraps it into an exception group; it is a normal end all the same."""
    codes: list[int] = []

    class Reader(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await in_a_nursery(*[in_a_nursery] * (depth - 1), read, websocket)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            codes.append(close_code)

    async with connect(Reader) as client:
        await client.send("")
        await client.close(4000)
    assert codes == [4000]
    assert caplog.records == []


async def test_an_error_out_of_a_nursery(autojump_clock: MockClock) -> None:
    """Errors in a hook's own nursery stay in their group, without the disconnect that came with them."""

    async def fail(websocket: WebSocket) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ZeroDivisionError("beside")

    class Reader(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, websocket)
                nursery.start_soon(fail, websocket)

    with pytest.raises(ExceptionGroup) as group:
        async with connect(Reader) as client:
            await client.close()
    [error] = group.value.exceptions
    assert isinstance(error, ZeroDivisionError)


@pytest.mark.parametrize("where", ["hook", "child"])
async def test_an_error_while_being_cancelled(
    where: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What fails in a nursery that is being cancelled is logged with its connection, like any other error."""

    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ZeroDivisionError("cleaning up")

    class Untidy(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            if where == "child":
                self.start_soon(in_a_nursery, fail)
            else:
                await in_a_nursery(fail)

    with pytest.raises(ExceptionGroup) as group:
        async with connect(Untidy, deadline=10) as client:
            await client.close(4000)
    assert isinstance(group.value.exceptions[0], ZeroDivisionError)
    [record] = caplog.records
    assert "Untidy at '/'" in record.message
    assert "4000" in record.message


async def test_an_error_while_the_server_is_cancelled(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither does it reach the server that is stopping: it goes to the log, and the cancellation goes on."""

    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ZeroDivisionError("cleaning up")

    class Untidy(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await in_a_nursery(fail)

    async def application(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "websocket":
            with server:
                await Untidy(scope, receive, send)

    server = trio.CancelScope()
    async with connect(application, raise_app_errors=False) as client:
        server.cancel()
        await client.wait_closed()
    assert server.cancelled_caught
    [record] = caplog.records
    assert record.name == "wsframework.endpoint"


async def test_a_grouped_disconnect_does_not_stop_the_next_message(autojump_clock: MockClock) -> None:
    """An on_receive that answers from a nursery of its own misses no message of a client that has left."""
    heard: list[str] = []

    class Parallel(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            heard.append(data)
            async with trio.open_nursery() as nursery:
                await trio.sleep(0.1)
                nursery.start_soon(websocket.send_text, data)

    async with connect(Parallel) as client:
        for word in ("one", "two", "three"):
            await client.send(word)
        await trio.testing.wait_all_tasks_blocked()
        client.vanish()
    assert heard == ["one", "two", "three"]


async def test_raising_a_disconnect_ends_the_connection(autojump_clock: MockClock) -> None:
    """A hook that raises WebSocketDisconnect while the client is there is done with it: a normal closure."""
    codes: list[int] = []

    class Done(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            raise WebSocketDisconnect

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            codes.append(close_code)

    async with connect(Done) as client:
        await client.send("")
        assert (await client.wait_closed()).code == 1000
    assert codes == [1000]


async def test_no_hub(autojump_clock: MockClock) -> None:
    """An endpoint that is served without an App says so when it is asked for its hub, and how to get one."""

    class Alone(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await self.hub.broadcast("topic", data)

    with pytest.raises(RuntimeError, match=r"Alone has no hub: serve it through an App.*WebSocketRoute\('/', Alone\)"):
        async with connect(Alone) as client:
            await client.send("")
            await client.wait_closed()


async def test_the_apps_hub(autojump_clock: MockClock) -> None:
    """self.hub is the hub of the app that the endpoint belongs to, as websocket.app.hub."""
    same: list[bool] = []
    app = App()

    @app.websocket("/")
    class Member(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            same.append(self.hub is app.hub is websocket.app.hub)

    async with connect(app):
        pass
    assert same == [True]
