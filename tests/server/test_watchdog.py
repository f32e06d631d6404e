"""The watchdog: it notices that the event loop is blocked, says by whom, once, and says when it is over.

These tests block the loop in earnest, as a handler would, until the watchdog has spoken: nothing else ends the block,
so nothing depends on how fast the machine is. On a busy one the loop may have to wait for its turn, and be told of for
that. So they block until they are named.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from trio.testing import MockClock

from tests.net.servers import run_server
from wsframework import App, WebSocket, WebSocketEndpoint
from wsframework.server.watchdog import Watchdog, find_culprit
from wsframework.testing import connect

PATIENCE = 0.02  # of the watchdog
GIVE_UP = 30.0  # seconds after which a block ends in any case

HERE = os.path.abspath(__file__)


class Ear(logging.Handler):
    """Hears what the server logs, in whatever thread."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.told = threading.Event()  # of a block that has not ended, as far as we have heard

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        if record.levelno == logging.WARNING:
            self.told.set()
        else:
            self.told.clear()

    def block_until_told(self) -> None:
        assert self.told.wait(GIVE_UP), "the watchdog has said nothing"

    @property
    def lines(self) -> list[tuple[str, str]]:
        return [(record.levelname, record.getMessage()) for record in self.records]

    def warnings_of(self, culprit: str) -> list[str]:
        """Return the warnings that match this pattern."""
        return [line for level, line in self.lines if level == "WARNING" and re.search(culprit, line)]


@pytest.fixture
def ear() -> Iterator[Ear]:
    logger = logging.getLogger("wsframework.server")
    handler, level = Ear(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def watchdog_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "wsframework watchdog"]


async def wait_until(condition: Callable[[], Any]) -> None:
    with trio.fail_after(GIVE_UP):
        while not condition():  # which another thread makes true
            await trio.lowlevel.checkpoint()


async def test_a_blocked_loop_is_one_warning_and_one_line_at_the_end(nursery: trio.Nursery, ear: Ear) -> None:
    """However long it lasts, there is one warning, with the name and the place of what blocks, and the end is told."""
    await nursery.start(Watchdog(PATIENCE).run)
    while not ear.warnings_of("block_until_told"):
        await trio.lowlevel.checkpoint()
        ear.block_until_told()
        threading.Event().wait(5 * PATIENCE)  # much longer than its patience, and it says nothing more
    [warning] = ear.warnings_of("block_until_told")
    assert ear.lines[-1] == ("WARNING", warning)
    told = len(ear.records)
    await wait_until(lambda: len(ear.records) > told)
    level_of_end, end = ear.lines[told]
    assert level_of_end == "INFO"
    assert re.match(r"the event loop has been blocked for \d+\.\d s by \S+ \(", warning)
    assert f"now in Ear.block_until_told ({HERE}:" in warning
    assert "trio.to_thread.run_sync" in warning
    assert re.match(r"the event loop runs again after \d+\.\d s, blocked by \S+ \(", end)
    nursery.cancel_scope.cancel()


async def test_the_next_incident_is_told_too(nursery: trio.Nursery, ear: Ear) -> None:
    """Every time that it blocks there is a warning."""
    await nursery.start(Watchdog(PATIENCE).run)
    while len(ear.warnings_of("block_until_told")) < 3:
        ear.block_until_told()
        await wait_until(lambda: not ear.told.is_set())
    levels = [level for level, _ in ear.lines]
    assert levels == (["WARNING", "INFO"] * len(levels))[: len(levels)]
    nursery.cancel_scope.cancel()


class Blocking(WebSocketEndpoint):
    ear: Ear

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await self.answer(websocket, data)

    async def answer(self, websocket: WebSocket, data: Any) -> None:
        self.ear.block_until_told()
        await websocket.send_text(data)


async def test_the_hook_is_named(nursery: trio.Nursery, ear: Ear) -> None:
    """The warning names the hook that the framework called, and the line of the application where it is."""
    await nursery.start(Watchdog(PATIENCE).run)
    Blocking.ear = ear
    app = App()
    app.websocket("/")(Blocking)
    async with connect(app) as client:
        where = r"now in (Blocking\.answer|Ear\.block_until_told) \("
        while not ear.warnings_of(where):
            await client.send("hello")
            assert await client.receive() == "hello"
    [warning] = ear.warnings_of(where)
    assert f"by Blocking.on_receive ({HERE}:" in warning
    nursery.cancel_scope.cancel()


async def test_nothing_is_said_of_a_loop_that_runs(nursery: trio.Nursery, ear: Ear) -> None:
    """Work that lets others run in between is no block, however much of it there is."""
    await nursery.start(Watchdog(0.5).run)
    until = trio.current_time() + 0.7
    while trio.current_time() < until:
        await trio.lowlevel.checkpoint()
    assert ear.lines == []
    nursery.cancel_scope.cancel()


async def test_virtual_time_is_no_block(autojump_clock: MockClock, nursery: trio.Nursery, ear: Ear) -> None:
    """A clock that jumps over hours blocks nobody."""
    await nursery.start(Watchdog(1.0).run)
    for _ in range(10):
        await trio.sleep(3600)
    assert ear.lines == []
    nursery.cancel_scope.cancel()


async def test_a_process_that_was_stopped_is_no_block(
    nursery: trio.Nursery, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time in which the whole process stood still, such as on a laptop that slept, is nobody's fault."""
    now = 0.0
    waits: list[float] = []
    watchdog = Watchdog(1.0)

    class Alive(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal now
            waits.append(now)
            now += 3600  # it wakes up an hour later, and nobody has computed anything
            return False

    class Stopped(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return len(waits) == 3

    monkeypatch.setattr(watchdog, "_alive", Alive())
    monkeypatch.setattr(watchdog, "_stopped", Stopped())
    monkeypatch.setattr("wsframework.server.watchdog.time.monotonic", lambda: now)
    watchdog._watch(trio.lowlevel.current_trio_token(), threading.get_ident())
    assert len(waits) == 3
    assert ear.lines == []


async def test_the_thread_ends_with_the_watchdog(nursery: trio.Nursery) -> None:
    """There is no thread left when it has returned, though it may have been about to look."""
    for _ in range(20):
        async with trio.open_nursery() as inner:
            await inner.start(Watchdog(60.0).run)
            assert len(watchdog_threads()) == 1
            inner.cancel_scope.cancel()
        assert watchdog_threads() == []


async def test_a_server_is_watched_while_it_serves() -> None:
    """A server starts one by itself, and ends it; None has none."""
    async with run_server(App()) as server:
        assert len(watchdog_threads()) == 1
        server.stop()
        await server.stopped.wait()
        assert watchdog_threads() == []


@pytest.mark.parametrize("patience", [0, -1, float("nan")])
def test_a_patience_is_above_zero(patience: float) -> None:
    """None is no watchdog; zero is a mistake."""
    with pytest.raises(ValueError, match="None is no watchdog"):
        Watchdog(patience)


# Who it was


@contextmanager
def looking(found: list[str]) -> Iterator[None]:
    """Find the culprit from where the block is entered."""
    found.append(find_culprit(sys._getframe(2)))
    yield


class OuterMiddleware:
    """Calls the application, as middleware of users does."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


async def test_middleware_is_not_the_culprit() -> None:
    """What stands around the endpoint calls it and waits; it is the endpoint that blocks."""
    found: list[str] = []
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        with looking(found):
            await websocket.accept()

    async with connect(OuterMiddleware(app)):
        pass
    [culprit] = found
    assert culprit.startswith("test_middleware_is_not_the_culprit.<locals>.endpoint (")
    assert "now in" not in culprit


async def test_a_starlette_application_is_named() -> None:
    """Where no code of ours calls the handler, it is the outermost one of the application's."""
    found: list[str] = []

    async def page(request: Any) -> Any:
        with looking(found):
            return None

    app = Starlette(routes=[Route("/", page)], middleware=[Middleware(OuterMiddleware)])

    async def nothing(*_: Any) -> Any:
        return {"type": "http.request"}

    with pytest.raises(TypeError):
        await app({"type": "http", "method": "GET", "path": "/", "headers": []}, nothing, nothing)
    assert "page (" in found[0]


def test_no_task_runs() -> None:
    """Between two tasks, or when the thread is not known, nobody is blamed."""
    assert find_culprit(None) == "something that has just ended"
    assert find_culprit(sys._getframe()) == "something that has just ended"
