"""Async functions as endpoints: the same session as a class, and their own `finally` for a goodbye."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.endpoint.leaving import leaves
from wsframework import App, Hub, WebSocket
from wsframework.testing import Client, HandshakeRefused, connect

Serve = Callable[[Callable[[WebSocket], Any]], App]


@pytest.fixture(params=["alone", "behind a hook"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """Makes an app with this function: one that runs in the session itself, or in what hooks and dependencies need."""

    def serve(function: Callable[[WebSocket], Any]) -> App:
        app = App()
        app.websocket("/")(function)
        if request.param == "behind a hook":
            app.before_request(websocket=True)(look)
        return app

    async def look(websocket: WebSocket) -> None:
        pass

    return serve


async def test_the_disconnect_of_another_client(
    serve: Serve, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """A disconnect that came from somebody else's WebSocket ends the endpoint too, and the log says what to do."""
    there: list[WebSocket] = []

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        there.append(websocket)
        async for text in websocket.iter_text():
            for other in there:
                await other.send_text(text)

    app = serve(talk)
    async with connect(app) as client:
        async with connect(app):
            pass
        await client.send("hello")
        assert await client.receive() == "hello"
        assert (await client.wait_closed()).code == 1000
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "publish through the hub" in caplog.text


async def test_a_function_returns(serve: Serve, autojump_clock: MockClock) -> None:
    """A function that returns is done: the connection is closed with 1000."""

    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")

    async with connect(serve(greet)) as client:
        assert await client.receive() == "hello"
        assert (await client.wait_closed()).code == 1000


async def test_a_disconnect_at_the_top(
    serve: Serve, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """`while True: receive` is how one writes it: WebSocketDisconnect at the top is a normal end."""
    ends: list[tuple[int | None, str]] = []

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        finally:
            ends.append((websocket.close_code, websocket.close_reason))

    async with connect(serve(echo)) as client:
        await client.send("hello")
        assert await client.receive() == "hello"
        await client.close(4000, "off")
    assert ends == [(4000, "off")]
    assert caplog.records == []


async def test_iterating(serve: Serve, autojump_clock: MockClock) -> None:
    """`async for` ends by itself, and what stands behind it runs within the grace."""
    heard: list[Any] = []

    async def listen(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            heard.append(text)
        await trio.sleep(0.5)
        heard.append(websocket.close_code)

    async with connect(serve(listen)) as client:
        await client.send("one")
        await client.send("two")
        await client.close(4000)
    assert heard == ["one", "two", 4000]


@leaves
async def test_cancelled_after_its_grace(
    serve: Serve, leave: Callable[[Client], Any], code: int, autojump_clock: MockClock
) -> None:
    """A function that never looks is cancelled a second after its client has left; its `finally` runs."""
    ended: list[Any] = []

    async def ignore(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await trio.sleep_forever()
        finally:
            ended.append((trio.current_time() - left, websocket.close_code))

    async with connect(serve(ignore), deadline=10) as client:
        left = trio.current_time()
        await leave(client)
    assert ended == [(pytest.approx(1.0), code)]


@leaves
async def test_what_was_sent_before_is_received(
    serve: Serve, leave: Callable[[Client], Any], code: int, autojump_clock: MockClock
) -> None:
    """A function that is slow still receives all that its client had sent, each within a grace of its own."""
    heard: list[str] = []

    async def slow(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            heard.append(await websocket.receive_text())
            await trio.sleep(0.9)

    async with connect(serve(slow), deadline=100) as client:
        for number in range(30):
            await client.send(str(number))
        await trio.testing.wait_all_tasks_blocked()
        await leave(client)
    assert heard == [str(number) for number in range(30)]


@leaves
async def test_children(serve: Serve, leave: Callable[[Client], Any], code: int, autojump_clock: MockClock) -> None:
    """websocket.start_soon starts a child, which is cancelled at once when the client leaves."""
    ended: list[float] = []

    async def parent(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.start_soon(tick, websocket)
        await trio.sleep_forever()

    async def tick(websocket: WebSocket) -> None:
        try:
            while True:
                await websocket.send_text("tick")
                await trio.sleep(1)
        finally:
            ended.append(trio.current_time() - left)

    async with connect(serve(parent), deadline=10) as client:
        assert await client.receive() == "tick"
        left = trio.current_time()
        await leave(client)
    assert ended == [pytest.approx(0.0)]


async def test_a_nursery_of_its_own(serve: Serve, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A nursery in the function wraps the disconnect into a group; it is a normal end all the same."""

    async def read(websocket: WebSocket) -> None:
        while True:
            await websocket.send_text(await websocket.receive_text())

    async def both(websocket: WebSocket) -> None:
        await websocket.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, websocket)
            nursery.start_soon(trio.sleep_forever)

    async with connect(serve(both)) as client:
        await client.send("hello")
        assert await client.receive() == "hello"
        await client.close()
    assert caplog.records == []


async def test_a_function_raises(serve: Serve, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """An error closes with 1011 and is logged once, under the function's name."""

    async def broken(websocket: WebSocket) -> None:
        await websocket.accept()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with connect(serve(broken)) as client:
            assert (await client.wait_closed()).code == 1011
    [record] = caplog.records
    assert "broken at '/'" in record.message


async def test_a_function_raises_before_accept(serve: Serve, autojump_clock: MockClock) -> None:
    """Before accept the answer is HTTP 500."""

    async def broken(websocket: WebSocket) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as error:
        async with connect(serve(broken)):
            pass
    assert isinstance(error.value.__cause__, HandshakeRefused)
    assert error.value.__cause__.status == 500


async def test_a_function_that_does_not_answer(serve: Serve, autojump_clock: MockClock) -> None:
    """A function that returns without an answer to the handshake is told what it forgot."""

    async def forgetful(websocket: WebSocket) -> None:
        """Forgot it."""

    with pytest.raises(RuntimeError, match="forgetful returned without an answer to the handshake"):
        async with connect(serve(forgetful)):
            pass


async def test_bad_data(serve: Serve, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Data that the function cannot take closes with 1003 or 1007, and is no server error."""

    async def numbers(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.receive_json()

    for message, code in ((b"1", 1003), ("}", 1007)):
        async with connect(serve(numbers)) as client:
            await client.send("1")
            await client.send(message)
            assert (await client.wait_closed()).code == code
    assert caplog.records == []


async def test_subscriptions_end(autojump_clock: MockClock) -> None:
    """What a function subscribed its client to ends with the connection."""
    hub = Hub()

    async def member(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.app.hub.subscribe(websocket, "room")
        async for text in websocket.iter_text():
            await websocket.app.hub.broadcast("room", text)

    app = App(hub=hub)
    app.websocket("/")(member)
    async with connect(app) as stays:
        async with connect(app) as goes:
            await goes.send("hello")
            assert await stays.receive() == await goes.receive() == "hello"
            assert hub.statistics().subscribers == 2
        assert hub.statistics().subscribers == 1
    assert hub.statistics().subscribers == 0


async def test_a_cancelled_server(serve: Serve, autojump_clock: MockClock) -> None:
    """A server that stops cancels the function and tells its client 1001."""
    ended: list[int | None] = []

    async def wait(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await trio.sleep_forever()
        finally:
            ended.append(websocket.close_code)

    inner = serve(wait)

    async def application(scope, receive, send):  # type: ignore[no-untyped-def]
        with trio.move_on_after(0.5):
            await inner(scope, receive, send)

    async with connect(application) as client:
        assert (await client.wait_closed()).code == 1001
    assert ended == [None]
