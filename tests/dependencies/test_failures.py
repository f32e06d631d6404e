"""Errors that dependencies see, handle, translate or raise themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import pytest
import trio
from trio.testing import MockClock

from tests.dependencies.resources import Log, resource
from wsframework import App, Depends, WebSocket, WebSocketEndpoint
from wsframework.testing import HandshakeRefused, connect


async def test_an_error_is_thrown_into_them(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """An error in a hook is seen by what depends on it, the message's first; it is logged once."""
    log: Log = []
    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_receive(
            self,
            websocket: WebSocket,
            data: str,
            db: Annotated[str, Depends(resource("db", log))],
            tx: Annotated[str, Depends(resource("tx", log), scope="message")],
        ) -> None:
            raise ZeroDivisionError

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            log.append(f"disconnect {close_code}")

    async with connect(app, raise_app_errors=False) as client:
        await client.send("x")
        assert (await client.wait_closed()).code == 1011
    assert log == [
        "open db",
        "open tx",
        "tx sees ZeroDivisionError",
        "close tx",
        "disconnect 1011",
        "db sees ZeroDivisionError",
        "close db",
    ]
    assert len(caplog.records) == 1


async def test_an_error_in_a_function_endpoint(autojump_clock: MockClock) -> None:
    """It passes through the dependencies first, which may make another one of it, and the client gets that."""
    from wsframework import WebSocketException

    async def translate() -> AsyncIterator[None]:
        try:
            yield
        except ZeroDivisionError:
            raise WebSocketException(4001, "do not divide") from None

    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, _: Annotated[None, Depends(translate)]) -> None:
        await websocket.accept()
        raise ZeroDivisionError

    async with connect(app) as client:
        end = await client.wait_closed()
    assert (end.code, end.reason) == (4001, "do not divide")


async def test_an_error_in_a_nursery_of_the_function(autojump_clock: MockClock) -> None:
    """It is seen as the function raised it: in the group of its own nursery, and in no other."""
    seen: list[BaseException] = []

    async def watch() -> AsyncIterator[None]:
        try:
            yield
        except Exception as error:
            seen.append(error)
            raise

    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, _: Annotated[None, Depends(watch)]) -> None:
        await websocket.accept()
        async with trio.open_nursery():
            raise ZeroDivisionError

    async with connect(app, raise_app_errors=False) as client:
        assert (await client.wait_closed()).code == 1011
    [group] = seen
    assert isinstance(group, ExceptionGroup)
    assert isinstance(group.exceptions[0], ZeroDivisionError)


async def test_an_error_that_a_dependency_handles(autojump_clock: MockClock) -> None:
    """One that does not raise it again has dealt with it; for a message-scoped one the connection goes on."""

    async def ignore() -> AsyncIterator[None]:
        try:
            yield
        except ValueError:
            pass

    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_receive(
            self, websocket: WebSocket, data: str, _: Annotated[None, Depends(ignore, scope="message")]
        ) -> None:
            await websocket.send_text(str(int(data)))

    async with connect(app) as client:
        await client.send("x")
        await client.send("5")
        assert await client.receive() == "5"


async def test_an_error_in_the_clean_up(autojump_clock: MockClock) -> None:
    """It is logged as one of the endpoint; the other dependencies are closed all the same, and see it."""
    log: Log = []

    async def broken() -> AsyncIterator[None]:
        yield
        raise LookupError("in the clean-up")

    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_connect(
            self,
            websocket: WebSocket,
            a: Annotated[str, Depends(resource("a", log))],
            b: Annotated[None, Depends(broken)],
        ) -> None:
            await websocket.accept()

    with pytest.raises(LookupError):
        async with connect(app) as client:
            await client.close()
    assert log == ["open a", "a sees LookupError", "close a"]


async def test_a_dependency_that_fails_closes_the_others(autojump_clock: MockClock) -> None:
    """What was opened before it is closed, and the endpoint is not entered."""
    log: Log = []

    async def broken() -> None:
        raise LookupError

    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket,
        a: Annotated[str, Depends(resource("a", log))],
        b: Annotated[str, Depends(resource("b", log), scope="handshake")],
        c: Annotated[None, Depends(broken)],
    ) -> None:
        log.append("entered")

    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, raise_app_errors=False):
            pass
    assert refused.value.status == 500
    assert log == ["open a", "open b", "b sees LookupError", "close b", "a sees LookupError", "close a"]


async def test_an_error_survives_a_clean_up_that_hangs(autojump_clock: MockClock) -> None:
    """The error of the endpoint is reported, although the clean-up had to be cancelled."""

    async def hang() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await trio.sleep_forever()

    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, _: Annotated[None, Depends(hang)]) -> None:
        await websocket.accept()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with connect(app, deadline=7) as client:
            assert (await client.wait_closed()).code == 1011


async def test_children_of_a_function_that_fails(autojump_clock: MockClock) -> None:
    """They are cancelled before its dependencies see the error, and nobody waits for them."""
    log: Log = []
    app = App()

    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            log.append("child ends")

    @app.websocket("/")
    async def function(websocket: WebSocket, a: Annotated[str, Depends(resource("a", log))]) -> None:
        await websocket.accept()
        websocket.start_soon(child)
        await trio.sleep(0.1)
        raise ZeroDivisionError

    async with connect(app, raise_app_errors=False) as client:
        assert (await client.wait_closed()).code == 1011
    assert log == ["open a", "child ends", "a sees ZeroDivisionError", "close a"]
