"""connect: the application and its clients in one Trio run. What fails in it fails as itself, and nothing hangs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from wsframework import App, Limits, StartupError, WebSocket, WebSocketDisconnect, WebSocketEndpoint
from wsframework.testing import HandshakeRefused, NothingReceived, connect


class Echo(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        if data == "break":
            raise ZeroDivisionError("as told")
        await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))


class Mute(WebSocketEndpoint):
    """Accepts, and says nothing."""


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
    async with connect(Echo) as client:
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


# Several clients


async def test_one_lifespan_for_all_clients(autojump_clock: MockClock) -> None:
    """The first client starts the app, the last one stops it, in whatever order they leave."""
    app, events = counting_app()
    async with connect(app) as one, connect(app) as other:
        await one.send("1")
        await other.send("2")
        assert (await one.receive(), await other.receive()) == ("1", "2")
        assert events == ["up"]
    assert events == ["up", "down"]
    async with connect(app):
        assert events == ["up", "down", "up"]
    assert events == ["up", "down"] * 2


async def test_two_apps(autojump_clock: MockClock) -> None:
    """Clients of two apps in one test do not mix."""
    one, one_events = counting_app()
    other, other_events = counting_app()
    async with connect(one), connect(other), connect(one):
        assert (one_events, other_events) == (["up"], ["up"])
    assert (one_events, other_events) == (["up", "down"], ["up", "down"])


async def test_clients_in_several_tasks(autojump_clock: MockClock) -> None:
    """Each task may have its own clients, which come and go as they like."""
    app, events = counting_app()
    heard: list[Any] = []

    async def talk(number: int) -> None:
        await trio.sleep(number % 3)
        async with connect(app) as client:
            await client.send(str(number))
            await trio.sleep(number % 5)
            heard.append(await client.receive())

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(talk, number)
    assert sorted(heard, key=int) == [str(number) for number in range(20)]
    assert events[0] == "up"
    assert events[-1] == "down"


async def test_two_tasks_connect_at_once(autojump_clock: MockClock) -> None:
    """An app that takes its time to start is started once, and both clients wait for it."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        await trio.sleep(1)
        events.append("up")
        yield
        await trio.sleep(1)
        events.append("down")

    app = App(lifespan=lifespan)
    app.websocket("/")(Echo)

    async def talk() -> None:
        async with connect(app) as client:
            await client.send("hello")
            assert await client.receive() == "hello"

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(talk)
    assert events == ["up", "down"]


async def test_coming_while_the_app_stops(autojump_clock: MockClock) -> None:
    """A client that comes while the app shuts down starts it anew."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        events.append("up")
        yield
        await trio.sleep(1)
        events.append("down")

    app = App(lifespan=lifespan)
    app.websocket("/")(Echo)

    async def talk(delay: float) -> None:
        await trio.sleep(delay)
        async with connect(app) as client:
            await client.send("hello")
            assert await client.receive() == "hello"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk, 0)
        nursery.start_soon(talk, 0.5)
    assert events == ["up", "down"] * 2


async def test_the_first_to_come_does_not_wait_for_the_others(autojump_clock: MockClock) -> None:
    """A task whose client has left goes on, although others are still connected and wait for that task."""
    app, events = counting_app()
    left = trio.Event()

    async def first() -> None:
        async with connect(app) as client:
            await client.send("hello")
            await client.receive()
            await trio.sleep(1)
        left.set()

    async def second() -> None:
        await trio.sleep(0.5)
        async with connect(app) as client:
            await left.wait()
            await client.send("still here")
            assert await client.receive() == "still here"

    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            nursery.start_soon(second)
    assert events == ["up", "down"]


async def test_a_failure_does_not_wait_for_the_others(autojump_clock: MockClock) -> None:
    """An assertion that fails in one task ends the test, although a client in another would wait for ever."""
    app, events = counting_app()

    async def fails() -> None:
        async with connect(app):
            await trio.sleep(1)
            raise AssertionError("as planned")

    async def waits() -> None:
        async with connect(app):
            await trio.sleep_forever()

    with trio.fail_after(100), pytest.raises(ExceptionGroup) as group:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails)
            nursery.start_soon(waits)
    assert [str(error) for error in group.value.exceptions] == ["as planned"]
    assert events == ["up", "down"]


# What fails, fails as itself


async def test_a_failing_assertion(autojump_clock: MockClock) -> None:
    """An assertion in the block is raised as it is, in no group, and the app is shut down."""
    app, events = counting_app()
    with pytest.raises(AssertionError, match="^as planned$"):
        async with connect(app), connect(app) as client:
            await client.send("hello")
            raise AssertionError("as planned")
    assert events == ["up", "down"]


@pytest.mark.parametrize("outcome", [pytest.fail, pytest.skip])
async def test_pytests_own_outcomes(outcome: Any, autojump_clock: MockClock) -> None:
    """So are pytest.fail and pytest.skip, which are no Exceptions."""
    with pytest.raises(outcome.Exception, match="as planned"):
        async with connect(Echo), connect(Echo):
            outcome("as planned")


async def test_a_group_from_the_block(autojump_clock: MockClock) -> None:
    """A nursery of the test's own gives the group that it always gives, and no more around it."""

    async def fail() -> None:
        raise AssertionError("as planned")

    with pytest.raises(ExceptionGroup) as group:
        async with connect(Echo), trio.open_nursery() as nursery:
            nursery.start_soon(fail)
    assert [type(error) for error in group.value.exceptions] == [AssertionError]


async def test_an_error_of_the_application(autojump_clock: MockClock) -> None:
    """What the endpoint raised is raised when the block ends, so a test cannot pass over it."""
    with pytest.raises(ZeroDivisionError, match="as told"):
        async with connect(Echo) as client:
            await client.send("break")


async def test_an_error_of_the_application_behind_an_assertion(autojump_clock: MockClock) -> None:
    """When the block fails too, most likely because of it, the application's error has that as its cause."""
    with pytest.raises(ZeroDivisionError) as error:
        async with connect(Echo) as client:
            await client.send("break")
            await client.receive()
    assert isinstance(error.value.__cause__, WebSocketDisconnect)


async def test_an_error_that_is_wanted(autojump_clock: MockClock) -> None:
    """With raise_app_errors=False the test looks at what the client sees."""
    async with connect(Echo, raise_app_errors=False) as client:
        await client.send("break")
        assert (await client.wait_closed()).code == 1011


async def test_an_error_of_a_plain_application(autojump_clock: MockClock) -> None:
    """An error that reaches the server is raised too."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            raise ZeroDivisionError("plain")

    with pytest.raises(ZeroDivisionError, match="plain") as error:
        async with connect(application):
            pass
    assert isinstance(error.value.__cause__, HandshakeRefused)


async def test_each_client_has_its_own_errors(autojump_clock: MockClock) -> None:
    """The error of one connection is raised where its client is, and not at another one."""
    app, _ = counting_app()
    async with connect(app) as other:
        with pytest.raises(ZeroDivisionError):
            async with connect(app) as client:
                await client.send("break")
        await other.send("hello")
        assert await other.receive() == "hello"


async def test_an_error_after_the_block(autojump_clock: MockClock) -> None:
    """What on_disconnect raises is this test's error too: the end of the block waits for it."""

    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            await trio.sleep(2)
            raise ZeroDivisionError("late")

    with pytest.raises(ZeroDivisionError, match="late"):
        async with connect(Endpoint):
            pass


async def test_an_app_that_cannot_start(autojump_clock: MockClock) -> None:
    """StartupError is raised as it is; the app can be tried again."""
    tries = 0

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("no database")
        yield

    app = App(lifespan=lifespan)
    app.websocket("/")(Echo)
    with pytest.raises(StartupError, match="no database"):
        async with connect(app):
            raise AssertionError("not reached")
    async with connect(app) as client:
        await client.send("hello")
        assert await client.receive() == "hello"


async def test_an_app_that_cannot_start_for_several(autojump_clock: MockClock) -> None:
    """Whoever waits for the app is told."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        await trio.sleep(1)
        raise OSError("no database")
        yield

    app = App(lifespan=lifespan)
    told = 0

    async def talk() -> None:
        nonlocal told
        with pytest.raises(StartupError, match="no database"):
            async with connect(app):
                raise AssertionError("not reached")
        told += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk)
        nursery.start_soon(talk)
    assert told == 2


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
    """It fails with Python's own words."""
    with pytest.raises(TypeError, match="not callable"):
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


async def test_a_lifespan_that_fails_in_between(autojump_clock: MockClock) -> None:
    """The error of a background task in the lifespan closes every connection, and is raised where clients are."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        async def fail() -> None:
            await trio.sleep(1)
            raise ZeroDivisionError("in the background")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            yield

    app = App(lifespan=lifespan)
    app.websocket("/")(Echo)
    with pytest.raises(ZeroDivisionError, match="in the background"):
        async with connect(app, deadline=5) as client:
            assert (await client.wait_closed()).code == 1001


async def test_pytests_outcomes_in_an_endpoint(autojump_clock: MockClock) -> None:
    """pytest.fail in a hook, also that of pytest.raises, fails the test and nothing else."""

    class Endpoint(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            with pytest.raises(KeyError):
                await websocket.send_text(data)

    app = App()
    app.websocket("/")(Endpoint)
    async with connect(app) as other:
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            async with connect(app) as client:
                await client.send("hello")
                await client.wait_closed()
        await other.receive_nothing()


async def test_several_errors(autojump_clock: MockClock) -> None:
    """Several errors of one connection come in a group."""

    class Endpoint(Echo):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            raise KeyError("goodbye")

    with pytest.raises(ExceptionGroup, match="the application failed") as group:
        async with connect(Endpoint) as client:
            await client.send("break")
    assert [type(error) for error in group.value.exceptions] == [ZeroDivisionError, KeyError]


async def test_outside_of_trio() -> None:
    """In a function that is not async it cannot be entered, and says so by its type."""
    with pytest.raises(TypeError), connect(Echo):  # type: ignore[attr-defined]
        raise AssertionError("not reached")


async def test_an_assertion_before_an_application_that_ignores_its_client(autojump_clock: MockClock) -> None:
    """The block's own failure is the one that is told."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).accept()
            await trio.sleep_forever()

    with pytest.raises(AssertionError, match="as planned"):
        async with connect(application):
            raise AssertionError("as planned")
