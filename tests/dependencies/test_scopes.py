"""How long dependencies live: handshake, connection, message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated

import pytest
import trio
from trio.testing import MockClock

from tests.dependencies.resources import Log, resource
from wsframework import App, Depends, WebSocket, WebSocketEndpoint, WebSocketStateError
from wsframework.testing import HandshakeRefused, connect


async def test_connection(autojump_clock: MockClock) -> None:
    """It begins before on_connect and ends after on_disconnect, the last one first, and sees a normal end as none."""
    log: Log = []
    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_connect(
            self,
            websocket: WebSocket,
            a: str = Depends(resource("a", log)),
            b: str = Depends(resource("b", log), scope="connection"),
        ) -> None:
            log.append(f"connect {a} {b}")
            await websocket.accept()

        async def on_receive(self, websocket: WebSocket, data: str, c: str = Depends(resource("c", log))) -> None:
            log.append(f"receive {data} {c}")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            log.append(f"disconnect {close_code}")

    async with connect(app) as client:
        await client.send("1")
        await client.send("2")
        await client.close(4000)
    assert log == [
        "open a",
        "open b",
        "open c",
        "connect a b",
        "receive 1 c",
        "receive 2 c",
        "disconnect 4000",
        "close c",
        "close b",
        "close a",
    ]


async def test_message(autojump_clock: MockClock) -> None:
    """It begins before each on_receive and ends after it, before the next one."""
    log: Log = []
    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_receive(
            self, websocket: WebSocket, data: str, tx: Annotated[str, Depends(resource("tx", log), scope="message")]
        ) -> None:
            log.append(f"{data} {tx}")

    async with connect(app) as client:
        await client.send("1")
        await client.send("2")
    assert log == ["open tx", "1 tx", "close tx", "open tx", "2 tx", "close tx"]


async def test_handshake_ends_with_accept(autojump_clock: MockClock) -> None:
    """It ends inside accept, once the answer has been sent; the connection goes on without it."""
    log: Log = []
    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket,
        a: Annotated[str, Depends(resource("a", log), scope="handshake")],
        b: Annotated[str, Depends(resource("b", log))],
    ) -> None:
        log.append("before")
        await websocket.accept()
        log.append("after")

    async with connect(app) as client:
        await client.wait_closed()
    assert log == ["open a", "open b", "before", "close a", "after", "close b"]


async def test_one_function_in_two_scopes(autojump_clock: MockClock) -> None:
    """What ends with the handshake is not what the connection goes on with."""
    log: Log = []
    app = App()
    both = resource("both", log)

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket,
        short: Annotated[str, Depends(both, scope="handshake")],
        long: Annotated[str, Depends(both)],
    ) -> None:
        await websocket.accept()
        log.append("accepted")

    async with connect(app) as client:
        await client.wait_closed()
    assert log == ["open both", "open both", "close both", "accepted", "close both"]


async def test_handshake_ends_with_a_raw_accept(autojump_clock: MockClock) -> None:
    """An accept that is sent as an ASGI event ends it too."""
    log: Log = []
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, a: Annotated[str, Depends(resource("a", log), scope="handshake")]) -> None:
        await websocket.send({"type": "websocket.accept"})
        log.append("after")

    async with connect(app) as client:
        await client.wait_closed()
    assert log == ["open a", "close a", "after"]


async def test_handshake_that_is_refused(autojump_clock: MockClock) -> None:
    """A refusal leaves it until the function returns, and it is no error."""
    log: Log = []
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, a: Annotated[str, Depends(resource("a", log), scope="handshake")]) -> None:
        await websocket.close()
        log.append("refused")

    with pytest.raises(HandshakeRefused):
        async with connect(app):
            pass
    assert log == ["open a", "refused", "close a"]


async def test_handshake_accepted_by_another_task(autojump_clock: MockClock) -> None:
    """Trio wants what was opened in a task to be closed in it, so it waits until the function ends."""
    log: Log = []
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, a: Annotated[str, Depends(resource("a", log), scope="handshake")]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(websocket.accept)
        log.append("accepted")

    async with connect(app) as client:
        await client.wait_closed()
    assert log == ["open a", "accepted", "close a"]


async def test_a_value_outlives_the_handle_it_was_read_with(autojump_clock: MockClock) -> None:
    """A function for the whole connection may need something for the handshake: it is called once, and done."""
    log: Log = []

    async def get_user(db: Annotated[str, Depends(resource("db", log), scope="handshake")]) -> str:
        return f"user from {db}"

    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str, user: Annotated[str, Depends(get_user)]) -> None:
            await websocket.send_text(f"{user}, {log}")

    async with connect(app) as client:
        await client.send("?")
        assert await client.receive() == "user from db, ['open db', 'close db']"


async def test_a_nursery_around_the_yield(autojump_clock: MockClock) -> None:
    """A connection-scoped dependency may yield inside a nursery; what fails in there ends the endpoint."""
    log: Log = []

    def nursery(name: str) -> Callable[[], AsyncIterator[trio.Nursery]]:
        async def open_nursery() -> AsyncIterator[trio.Nursery]:
            async with trio.open_nursery() as nursery:
                yield nursery
                nursery.cancel_scope.cancel()
            log.append(f"close {name}")

        return open_nursery

    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_connect(
            self,
            websocket: WebSocket,
            a: Annotated[trio.Nursery, Depends(nursery("a"))],
            b: Annotated[trio.Nursery, Depends(nursery("b"))],
        ) -> None:
            a.start_soon(trio.sleep_forever)
            self.tasks = b
            await websocket.accept()

        async def on_receive(
            self, websocket: WebSocket, data: str, c: Annotated[trio.Nursery, Depends(nursery("c"), scope="message")]
        ) -> None:
            c.start_soon(trio.sleep_forever)
            if data == "fail":
                self.tasks.start_soon(fail)
                await trio.sleep(1)
            await websocket.send_text(data)

    async def fail() -> None:
        raise ZeroDivisionError

    async with connect(app) as client:
        await client.send("x")
        assert await client.receive() == "x"
        await client.close()
    assert log == ["close c", "close b", "close a"]

    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with connect(app, deadline=2) as client:
            await client.send("fail")
            await client.wait_closed()


async def test_a_nursery_cannot_end_with_the_handshake(autojump_clock: MockClock) -> None:
    """It would be closed in the middle of what was opened since; the error says what to do."""

    async def open_nursery() -> AsyncIterator[trio.Nursery]:
        async with trio.open_nursery() as nursery:
            yield nursery

    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket, a: Annotated[trio.Nursery, Depends(open_nursery, scope="handshake")]
    ) -> None: ...

    with pytest.RaisesGroup(pytest.RaisesExc(WebSocketStateError, match="yields inside a nursery")):
        async with connect(app):
            pass
