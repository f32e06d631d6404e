"""Plain functions run in worker threads, so that they may block."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Annotated

import pytest
import trio

from wsframework import App, Depends, WebSocket, WebSocketEndpoint
from wsframework.dependencies import resolution
from wsframework.testing import connect


async def test_a_plain_function_runs_in_a_thread() -> None:
    """It does not hold up the loop, and sees the context variables of the task."""
    setting: ContextVar[str] = ContextVar("setting", default="not set")

    def where() -> tuple[int, str]:
        return threading.get_ident(), setting.get()

    async def in_the_loop() -> int:
        setting.set("set")
        return threading.get_ident()

    got: list[object] = []
    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket,
        loop: Annotated[int, Depends(in_the_loop)],
        thread: Annotated[tuple[int, str], Depends(where)],
    ) -> None:
        got.extend([loop, *thread])
        await websocket.accept()

    async with connect(app, deadline=10):
        pass
    loop, thread, value = got
    assert loop == threading.get_ident()
    assert thread != loop
    assert value == "set"


async def test_a_plain_generator() -> None:
    """Both halves run in threads; what the endpoint raises is thrown into it there."""
    log: list[str] = []
    loop = threading.get_ident()

    def note(what: str) -> None:
        log.append(what if threading.get_ident() != loop else f"{what} in the loop")

    def session() -> Iterator[str]:
        note("begin")
        try:
            yield "session"
        except ZeroDivisionError:
            note("roll back")
            raise
        else:
            note("commit")
        finally:
            note("close")

    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_receive(
            self, websocket: WebSocket, data: str, session: Annotated[str, Depends(session, scope="message")]
        ) -> None:
            await websocket.send_text(str(1 // int(data)))

    async with connect(app, raise_app_errors=False, deadline=10) as client:
        await client.send("1")
        assert await client.receive() == "1"
        await client.send("0")
        await client.wait_closed()
    assert log == ["begin", "commit", "close", "begin", "roll back", "close"]


async def test_a_plain_generator_is_always_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is no await that a cancellation could stop, even when the others have used up the time."""
    log: list[str] = []

    def session() -> Iterator[None]:
        try:
            yield
        finally:
            log.append("close")

    async def hang() -> AsyncIterator[None]:
        yield
        await trio.sleep_forever()

    monkeypatch.setattr(resolution, "CLEAN_UP_TIMEOUT", 0.01)
    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket, first: Annotated[None, Depends(session)], second: Annotated[None, Depends(hang)]
    ) -> None:
        await websocket.accept()

    async with connect(app, deadline=10) as client:
        await client.wait_closed()
    assert log == ["close"]


async def test_ends_do_not_wait_for_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all threads taken by functions that wait for a handle, the clean-up that gives one back still runs."""
    monkeypatch.setattr(resolution, "THREADS", 1)
    handle = threading.Semaphore(1)

    def take() -> Iterator[None]:
        assert handle.acquire(timeout=20)
        yield
        handle.release()

    app = App()
    first_has_it = trio.Event()
    second_waits = trio.Event()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, _: Annotated[None, Depends(take)]) -> None:
        await websocket.accept()
        first_has_it.set()
        await second_waits.wait()

    async def second() -> None:
        await first_has_it.wait()
        async with connect(app, deadline=10):
            pass

    async def watch() -> None:
        await first_has_it.wait()
        limiter = resolution._threads.get()
        while not limiter.borrowed_tokens:  # noqa: ASYNC110 - a limiter has no event
            await trio.sleep(0.001)
        second_waits.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second)
            nursery.start_soon(watch)
            async with connect(app, deadline=10) as client:
                await client.wait_closed()


async def test_a_client_that_leaves_waits_for_the_thread() -> None:
    """A thread cannot be stopped: what a generator opened in one is closed, however late that is."""
    log: list[str] = []
    begun = threading.Event()
    may_go_on = threading.Event()

    def slow() -> Iterator[None]:
        begun.set()
        assert may_go_on.wait(timeout=20)
        log.append("open")
        yield
        log.append("close")

    class Endpoint(WebSocketEndpoint):
        disconnect_grace = 0

        async def on_connect(self, websocket: WebSocket, _: Annotated[None, Depends(slow)]) -> None:
            log.append("entered")

    app = App()
    app.websocket("/")(Endpoint)

    async def impatient_client() -> None:
        with pytest.raises(AssertionError, match="waited"):
            async with connect(app, deadline=0.05):
                pass

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(impatient_client)
            while not begun.is_set():  # noqa: ASYNC110 - a thread's event
                await trio.sleep(0.001)
            await trio.sleep(0.3)  # until the client's deadline, which is counted already, has passed
            may_go_on.set()
    assert (log[0], log[-1]) == ("open", "close")


async def test_a_class_is_called_at_once() -> None:
    """To make an object does not block, and a thread for it would cost more than the object."""

    class Where:
        def __init__(self) -> None:
            self.thread = threading.get_ident()

    got: list[int] = []
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, where: Annotated[Where, Depends()]) -> None:
        got.append(where.thread)
        await websocket.accept()

    async with connect(app, deadline=10):
        pass
    assert got == [threading.get_ident()]
