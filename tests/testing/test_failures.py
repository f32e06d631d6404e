"""What fails in a test fails as itself: an assertion, an error of the application, a start that fails."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from wsframework import App, StartupError, WebSocket, WebSocketDisconnect, WebSocketEndpoint
from wsframework.testing import HandshakeRefused, connect


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


async def test_an_assertion_before_an_application_that_ignores_its_client(autojump_clock: MockClock) -> None:
    """The block's own failure is the one that is told."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).accept()
            await trio.sleep_forever()

    with pytest.raises(AssertionError, match="as planned"):
        async with connect(application):
            raise AssertionError("as planned")
