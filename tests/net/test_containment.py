"""What goes wrong inside the server ends one connection, is counted, and leaves nothing behind."""

import gc
import logging
from pathlib import Path
from typing import Any

import pytest
import trio

import wsframework.server.reactorpath
from tests.net.echo import ECHO, Echo
from tests.net.observing import wait_until
from tests.net.servers import (
    UPGRADE,
    ServedOverSockets,
    make_config,
    open_stream,
    receive_all,
    receive_until,
    run_server,
)
from wsframework import App, Limits, WebSocket, WebSocketRoute, WebSocketStateError
from wsframework.server import Server, reactor

pytestmark = pytest.mark.skipif(not reactor.AVAILABLE, reason="there is no epoll on this system")


async def test_a_socket_that_cannot_be_watched(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """When the system cannot take one more into its set, that one is closed, and the others are served."""
    async with run_server(ECHO) as server, ServedOverSockets(server.url).connect() as inside:
        with monkeypatch.context() as patch:

            def fail(*_: Any) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr(reactor.Reactor, "attach", fail)
            async with await open_stream(server.url) as stream:
                assert await receive_all(stream) == b""
        await inside.send("still here")
        assert await inside.receive() == "still here"
        statistics = server.itself.statistics()
        assert (statistics.open, statistics.lost) == (1, 1)
    assert "No space left on device" in caplog.text


async def test_a_log_handler_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not make the server deaf: whoever logs from there contains it."""

    class Unwilling(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise LookupError("this log is full")

    unwilling = Unwilling()
    loggers = [logging.getLogger(name) for name in ("wsframework.server", "wsframework.access")]
    async with run_server(ECHO) as server:
        for logger in loggers:
            logger.addFilter(unwilling)
        try:
            with monkeypatch.context() as patch:
                patch.setattr("wsframework.server.head.reader.parse_request", lambda *_: 1 / 0)
                async with await open_stream(server.url) as stream:
                    await stream.send_all(UPGRADE)
                    assert await receive_all(stream) == b""
            async with ServedOverSockets(server.url).connect() as client:
                await client.send("hello")
                assert await client.receive() == "hello"
            await wait_until(lambda: server.itself.statistics().open == 0)
        finally:
            for logger in loggers:
                logger.removeFilter(unwilling)


async def test_a_scope_that_cannot_be_logged(caplog: Any) -> None:
    """An application may put anything into its scope; the connection still ends and is counted."""
    caplog.set_level(logging.INFO)

    async def spoil(websocket: WebSocket) -> None:
        websocket.scope["client"] = 3
        await websocket.accept()

    async with run_server(App(routes=[WebSocketRoute("/", spoil)])) as server:
        async with await open_stream(server.url) as stream:
            await stream.send_all(UPGRADE)
            await receive_until(stream, b"\x03\xe8")  # the code of its close frame
        await wait_until(lambda: server.itself.statistics().open == 0)
        assert sum(server.itself.statistics().closed.values()) == 1


async def test_those_who_are_left_when_the_server_ends() -> None:
    """Whoever does not answer, or has not finished its request, has an outcome all the same."""
    async with run_server(ECHO, Limits(close_timeout=60)) as server:
        streams = [await open_stream(server.url) for _ in range(3)]
        await streams[0].send_all(UPGRADE)
        await receive_until(streams[0], b"\r\n\r\n")
        await streams[1].send_all(b"GET / HT")
        await wait_until(lambda: server.itself.statistics().open == 3)
        server.stop()
        await server.stopped.wait()
        counted = server.itself.statistics()
        for stream in streams:
            await stream.aclose()
    assert (counted.open, counted.websockets, counted.lost, counted.closed) == (0, 0, 2, {1001: 1})
    assert not server.itself.ready
    gc.collect()


async def test_a_server_serves_once() -> None:
    """It has counted, and said goodbye; another one begins anew."""
    server = Server(ECHO, make_config())
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        server.drain()
    with pytest.raises(WebSocketStateError, match="serves once"):
        await server.run()


async def test_a_unix_socket_that_another_server_has_taken_over(tmp_path: Path) -> None:
    """The one that ends leaves the file of its successor alone."""
    path = tmp_path / "socket"
    next_app = App(routes=[WebSocketRoute("/", Echo)])
    async with run_server(ECHO, bind=[f"unix:{path}"]) as old, run_server(next_app, bind=[f"unix:{path}"]) as new:
        old.itself.drain()
        await old.stopped.wait()
        assert path.exists()
        async with ServedOverSockets(new.url).connect() as client:
            await client.send("hello")
            assert await client.receive() == "hello"
    assert not path.exists()


async def test_an_instrument_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should Trio have removed it, the end of the server is in good order all the same."""
    made = []

    class Noted(reactor.Reactor):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(wsframework.server.reactorpath, "Reactor", Noted)
    async with run_server(ECHO):
        trio.lowlevel.remove_instrument(made[0])
