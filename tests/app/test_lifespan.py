"""The life of an app: its lifespan, its state, its hub, and the event loop that it needs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from wsframework import App, Hub, StartupError, WebSocket, WebSocketEndpoint
from wsframework.testing import connect


async def answer(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(repr(websocket.state._state))


async def test_around_the_connections(autojump_clock: MockClock) -> None:
    """The lifespan begins before the first connection and ends behind the last; it gets the app."""
    events: list[Any] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        events.append(app)
        yield
        events.append("end")

    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            events.append("connect")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            await trio.sleep(1)
            events.append("disconnect")

    app = App(lifespan=lifespan)
    app.websocket("/")(Endpoint)
    async with connect(app):
        pass
    assert events == [app, "connect", "disconnect", "end"]


async def test_state(autojump_clock: MockClock) -> None:
    """What the lifespan yields is the state of every connection, which has a copy of its own."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
        yield {"pool": pool}

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        assert websocket.state.pool is pool
        assert not hasattr(websocket.state, "mine")
        websocket.state.mine = 1

    pool = object()
    app = App(lifespan=lifespan)
    app.websocket("/")(endpoint)
    async with connect(app), connect(app):
        pass


async def test_no_place_for_the_state() -> None:
    """A server without lifespan state is told that this app needs it, when it starts."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
        yield {"pool": 1}

    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return events.pop(0)

    async def send(event: Any) -> None:
        sent.append(event)

    with pytest.raises(ExceptionGroup):
        await App(lifespan=lifespan)({"type": "lifespan"}, receive, send)
    [event] = sent
    assert event["type"] == "lifespan.startup.failed"
    assert "this server has no place for the state that the lifespan yields" in event["message"]


async def test_a_startup_that_fails() -> None:
    """The server is told why, with the traceback, and serves nobody."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        raise OSError("no database at db.example")
        yield

    app = App(lifespan=lifespan)
    app.websocket("/")(answer)
    with pytest.raises(StartupError, match="the application cannot start") as error:
        async with connect(app):
            raise AssertionError("not reached")
    assert "OSError: no database at db.example" in str(error.value)
    assert "in lifespan" in str(error.value)


async def test_a_shutdown_that_fails(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """The log says so."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        yield
        raise OSError("cannot say goodbye to the database")

    app = App(lifespan=lifespan)
    app.websocket("/")(answer)
    async with connect(app) as client:
        await client.receive()
    [record] = caplog.records
    assert "the application's shutdown failed" in record.message
    assert "cannot say goodbye to the database" in record.message


async def test_the_hub_runs_in_the_lifespan(autojump_clock: MockClock) -> None:
    """The hub runs before the lifespan's own startup and until its shutdown is over, and not outside."""
    published: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        await app.hub.broadcast("topic", "up")
        published.append("up")
        yield
        await app.hub.broadcast("topic", "down")
        published.append("down")

    app = App(lifespan=lifespan)
    app.websocket("/")(answer)
    with pytest.raises(RuntimeError, match="the hub does not run: it runs in its app's lifespan"):
        await app.hub.broadcast("topic", "too early")
    for _ in range(2):
        async with connect(app):
            pass
    assert published == ["up", "down"] * 2
    with pytest.raises(RuntimeError, match="the hub does not run"):
        await app.hub.broadcast("topic", "too late")


async def test_a_background_task_in_the_lifespan(autojump_clock: MockClock) -> None:
    """A nursery in the lifespan is the place for tasks of the whole app."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        async def tick() -> None:
            while True:
                await trio.sleep(1)
                await app.hub.broadcast("ticks", "tick")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            yield
            nursery.cancel_scope.cancel()

    app = App(lifespan=lifespan)

    @app.websocket("/")
    class Ticks(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "ticks")

    async with connect(app, deadline=2) as client:
        assert [await client.receive() for _ in range(3)] == ["tick"] * 3


async def test_one_hub_in_two_apps(autojump_clock: MockClock) -> None:
    """A hub belongs to one app; the second one that would run it does not start, and says why."""
    hub = Hub()
    one, other = App(hub=hub), App(hub=hub)
    one.websocket("/")(answer)
    other.websocket("/")(answer)
    async with connect(one):
        with pytest.raises(StartupError, match="this hub is running already; one hub belongs to one app"):
            async with connect(other):
                raise AssertionError("not reached")


def test_every_app_has_a_hub() -> None:
    """The app's own hub by default, or the one it is given."""
    hub = Hub()
    assert App(hub=hub).hub is hub
    assert App().hub is not App().hub


def test_asyncio_is_told_at_startup() -> None:
    """On an asyncio server the lifespan fails at once, with words that say what to run."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(event: Any) -> None:
        sent.append(event)

    asyncio.run(App()({"type": "lifespan", "state": {}}, receive, send))
    [event] = sent
    assert event["type"] == "lifespan.startup.failed"
    assert "this application needs Trio, and the server runs asyncio" in event["message"]
    assert "wsframework run module:app" in event["message"]
    assert "hypercorn -k trio module:app" in event["message"]


@pytest.mark.parametrize("type_", ["websocket", "http"])
def test_asyncio_without_a_lifespan(type_: str) -> None:
    """A server that runs no lifespan is told by the first connection."""

    async def nothing(*args: Any) -> Any:
        raise AssertionError("not reached")

    with pytest.raises(StartupError, match="needs Trio, and the server runs asyncio"):
        asyncio.run(App()({"type": type_}, nothing, nothing))


async def test_a_scope_of_an_unknown_kind() -> None:
    """A scope that some later ASGI may bring is refused, as the specification asks."""

    async def nothing(*args: Any) -> Any:
        raise AssertionError("not reached")

    with pytest.raises(ValueError, match="'webtransport'"):
        await App()({"type": "webtransport"}, nothing, nothing)
