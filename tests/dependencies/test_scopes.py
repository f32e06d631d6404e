"""How long dependencies live: handshake, connection, message; and how they end, whatever happens."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import pytest
import trio
from trio.testing import MockClock

from wsframework import App, Depends, WebSocket, WebSocketDisconnect, WebSocketEndpoint, WebSocketStateError
from wsframework.testing import HandshakeRefused, connect

Log = list[str]


def resource(name: str, log: Log) -> Callable[[], AsyncIterator[str]]:
    """A dependency that notes when it begins, how it is left, and when it has ended."""

    async def open_resource() -> AsyncIterator[str]:
        log.append(f"open {name}")
        try:
            yield name
        except BaseException as error:
            log.append(f"{name} sees {type(error).__name__}")
            raise
        finally:
            await trio.sleep(0.1)
            log.append(f"close {name}")

    return open_resource


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


@pytest.mark.parametrize("kind", ["function", "class", "message"])
async def test_cancellation(kind: str, autojump_clock: MockClock) -> None:
    """When the grace of a hook is over, it is cancelled; its dependencies see that, and clean up in peace."""
    log: Log = []
    app = App()
    make = Depends(resource("a", log), scope="message" if kind == "message" else "connection")

    async def function(websocket: WebSocket, a: str = make) -> None:
        await websocket.accept()
        await trio.sleep_forever()

    class OnConnect(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket, a: str = Depends(resource("a", log))) -> None:
            await function(websocket)

    class OnReceive(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str, a: str = make) -> None:
            await trio.sleep_forever()

    endpoints: dict[str, Any] = {"function": function, "class": OnConnect, "message": OnReceive}
    app.websocket("/")(endpoints[kind])
    async with connect(app, deadline=3) as client:
        await client.send("x")
        await client.close()
    assert log == ["open a", "a sees Cancelled", "close a"]


async def test_cancellation_with_children_that_take_their_time(autojump_clock: MockClock) -> None:
    """A dependency sees one cancellation, however many tasks were cancelled."""
    log: Log = []
    app = App()

    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(0.5, shield=True):
                await trio.sleep_forever()
            log.append("child ends")

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, a: Annotated[str, Depends(resource("a", log))]) -> None:
        await websocket.accept()
        await trio.sleep(0.9)
        websocket.start_soon(child)
        await trio.sleep_forever()

    async with connect(app, deadline=5) as client:
        await client.close()
    assert log == ["open a", "child ends", "a sees Cancelled", "close a"]


@pytest.mark.parametrize("scope", ["handshake", "connection", "message"])
async def test_clean_up_is_bounded(scope: Any, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """One that hangs is cancelled after five seconds, with a warning; the connection goes on or ends as it would."""

    early = "handshake" if scope == "message" else scope  # on_connect can have no message-scoped one

    async def hang() -> AsyncIterator[None]:
        yield
        await trio.sleep_forever()

    class OnReceive(WebSocketEndpoint):
        async def on_receive(
            self, websocket: WebSocket, data: str, _: Annotated[None, Depends(hang, scope="message")]
        ) -> None:
            await websocket.send_text(data)

    class OnConnect(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket, _: None = Depends(hang, scope=early)) -> None:
            await websocket.accept()

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text(data)

    app = App()
    app.websocket("/")(OnReceive if scope == "message" else OnConnect)
    started = trio.current_time()
    async with connect(app, deadline=7) as client:
        for text in ("a", "b"):
            await client.send(text)
            assert await client.receive() == text
    waited = trio.current_time() - started
    assert waited == pytest.approx(10 if scope == "message" else 5)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == (2 if scope == "message" else 1)
    assert "cancelled after 5 s" in warnings[0].message


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


async def test_children_end_first(autojump_clock: MockClock) -> None:
    """Tasks of the connection end before the dependencies that they may be using."""
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
        await trio.sleep(1)

    async with connect(app, deadline=2) as client:
        await client.wait_closed()
    assert log == ["open a", "child ends", "close a"]


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


async def test_a_client_that_leaves_while_they_are_made(autojump_clock: MockClock) -> None:
    """After the grace it is cancelled, and what was opened is closed. Nobody is told of an error."""
    log: Log = []

    async def slow() -> None:
        log.append("slow")
        await trio.sleep_forever()

    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket, a: Annotated[str, Depends(resource("a", log))], b: Annotated[None, Depends(slow)]
    ) -> None:
        log.append("entered")

    with pytest.raises(AssertionError, match="waited 1 s for an answer to the handshake"):
        async with connect(app):
            pass
    assert log == ["open a", "slow", "a sees Cancelled", "close a"]


async def test_a_disconnect_in_a_message(autojump_clock: MockClock) -> None:
    """A hook that could not answer any more failed as far as its own dependencies are concerned, and no others."""
    log: Log = []
    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_receive(
            self,
            websocket: WebSocket,
            data: str,
            a: Annotated[str, Depends(resource("a", log))],
            tx: Annotated[str, Depends(resource("tx", log), scope="message")],
        ) -> None:
            await websocket.close()
            await websocket.send_text("too late")

    async with connect(app) as client:
        await client.send("x")
        with pytest.raises(WebSocketDisconnect):
            await client.receive()
    assert log == ["open a", "open tx", "tx sees WebSocketDisconnect", "close tx", "close a"]
