"""Several clients of one application in one test: they come and go as they like."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from wsframework import App, StartupError, WebSocket, WebSocketEndpoint
from wsframework.testing import connect


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


async def test_each_client_has_its_own_errors(autojump_clock: MockClock) -> None:
    """The error of one connection is raised where its client is, and not at another one."""
    app, _ = counting_app()
    async with connect(app) as other:
        with pytest.raises(ZeroDivisionError):
            async with connect(app) as client:
                await client.send("break")
        await other.send("hello")
        assert await other.receive() == "hello"


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
