"""connect: an application and its client in one Trio run. Whatever goes wrong, nothing hangs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from wsframework import App, Limits, WebSocket, WebSocketEndpoint
from wsframework.testing import HandshakeRefused, NothingReceived, connect


class Echo(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        if data == "break":
            raise ZeroDivisionError("as told")
        await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))


def counting_app() -> tuple[App, list[str]]:
    """An app with an echo, and a list of what its lifespan did."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        events.append("up")
        yield
        events.append("down")

    app = App(lifespan=lifespan)
    app.websocket("/")(Echo)
    return app, events


# What is served


async def test_any_application(autojump_clock: MockClock) -> None:
    """An App, an endpoint class and a plain ASGI application can all be connected to."""
    app = App()
    app.websocket("/")(Echo)

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await Echo(scope, receive, send)

    for application in (app, Echo, plain):
        async with connect(application) as client:
            await client.send("hello")
            assert await client.receive() == "hello"


async def test_on_the_real_clock() -> None:
    """It needs no virtual clock; nothing waits for the wall's when nothing has to."""
    async with connect(Echo, deadline=30) as client:
        await client.send("hello")
        assert await client.receive() == "hello"


async def test_headers_path_and_query(autojump_clock: MockClock) -> None:
    """Path, query, headers (a mapping or pairs) and subprotocols reach the application."""
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        websocket = WebSocket(scope, receive, send)
        seen.append((websocket["path"], websocket["query_string"], websocket.headers.getlist("x-tag")))
        await websocket.accept(scope["subprotocols"][-1], [(b"x-answer", b"1")])
        await websocket.close()

    for headers in ({"x-tag": "a"}, [("x-tag", "a"), ("x-tag", "b")]):
        async with connect(application, "/chat?q=1", headers=headers, subprotocols=["v1", "v2"]) as client:
            assert client.subprotocol == "v2"
            assert (b"x-answer", b"1") in client.headers
    assert seen == [("/chat", b"q=1", ["a"]), ("/chat", b"q=1", ["a", "b"])]


async def test_limits(autojump_clock: MockClock) -> None:
    """The server has the limits that are given."""
    async with connect(Echo, limits=Limits(message=10)) as client:
        await client.send("x" * 10)
        assert await client.receive() == "x" * 10
        await client.send("x" * 11)
        assert (await client.wait_closed()).code == 1009


async def test_a_refused_handshake(autojump_clock: MockClock) -> None:
    """HandshakeRefused has status, headers and body, and says them."""
    with pytest.raises(HandshakeRefused, match="the handshake was refused with 404: Not Found") as refused:
        async with connect(App(), "/nope"):
            raise AssertionError("not reached")
    assert refused.value.status == 404
    assert refused.value.body == b"Not Found\n"
    assert (b"content-length", b"10") in refused.value.headers


async def test_a_path_without_a_slash(autojump_clock: MockClock) -> None:
    """It is answered as a browser's would be, with a sentence that says what is wrong."""
    with pytest.raises(HandshakeRefused, match="400: The request target must begin with a slash"):
        async with connect(Echo, "chat"):
            raise AssertionError("not reached")


async def test_no_answer_to_the_handshake(autojump_clock: MockClock) -> None:
    """An on_connect that takes too long fails the test with what was awaited."""

    class Slow(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await trio.sleep_forever()

    with pytest.raises(NothingReceived, match="^/slow: waited 3 s for an answer to the handshake$"):
        async with connect(Slow, "/slow", deadline=3):
            raise AssertionError("not reached")


async def test_something_that_is_no_application() -> None:
    """It is said before anything is served."""
    with pytest.raises(TypeError, match="an application is an App, .* not 'module:app'"):
        async with connect("module:app"):
            raise AssertionError("not reached")


# Nothing hangs


async def test_cancelled_from_outside(autojump_clock: MockClock) -> None:
    """A deadline around the block ends it in order: on_disconnect runs, the app is shut down."""
    app, events = counting_app()
    codes: list[int] = []

    @app.websocket("/mute")
    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            await trio.sleep(1)
            codes.append(close_code)

    with trio.move_on_after(5) as scope:
        async with connect(app, "/mute"), connect(app, "/mute"):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert events == ["up", "down"]
    assert len(codes) == 2


async def test_an_endpoint_that_does_not_end(autojump_clock: MockClock) -> None:
    """A hook that waits for ever is cancelled after its grace, and the block ends."""

    class Endpoint(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep_forever()

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            await trio.sleep_forever()

    with trio.fail_after(10):
        async with connect(Endpoint) as client:
            await client.send("")
            await wait_all_tasks_blocked()


async def test_leaving_with_messages_unread(autojump_clock: MockClock) -> None:
    """A block that ends with a stalled client and a full window ends."""

    class Flood(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            while True:
                await websocket.send_bytes(bytes(10_000))

    with trio.fail_after(60):
        async with connect(Flood, window=1000) as client:
            client.stall()
            await trio.sleep(1)


async def test_the_window(autojump_clock: MockClock) -> None:
    """`window` bounds what is on its way, so that a test can have a slow client with a few bytes."""
    sent = 0

    class Flood(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            nonlocal sent
            await websocket.accept()
            for _ in range(10):
                await websocket.send_bytes(bytes(100))
                sent += 1

    async with connect(Flood, window=250) as client:
        client.stall()
        await wait_all_tasks_blocked()
        assert 0 < sent < 10
        client.resume()
        for _ in range(10):
            assert len(await client.receive()) == 100
    assert sent == 10


async def test_an_application_that_ignores_its_client(autojump_clock: MockClock) -> None:
    """A plain application that goes on for ever is cancelled, and the test fails with what was awaited."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).accept()
            await trio.sleep_forever()

    with pytest.raises(NothingReceived, match="waited 120 s for the endpoint to end; its client had left"):
        async with connect(application):
            pass


async def test_outside_of_trio() -> None:
    """In a function that is not async it cannot be entered, and says so by its type."""
    with pytest.raises(TypeError), connect(Echo):  # type: ignore[attr-defined]
        raise AssertionError("not reached")
