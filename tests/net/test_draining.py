"""A server that is asked to stop, and does so in good order."""

from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from tests.net.echo import ECHO, Echo, connect
from tests.net.servers import (
    UPGRADE,
    frame,
    open_stream,
    receive_all,
    receive_until,
    run_server,
)
from wsframework import App, CloseCode, Limits, WebSocket, WebSocketDisconnect, WebSocketEndpoint, WebSocketRoute
from wsframework.server import Server
from wsframework.testing import Client

QUICK = Limits(drain_timeout=0.2)
DRAIN = 10.0  # seconds


async def get_code(client: Client) -> int:
    """Receive until the end; return the close code."""
    try:
        while True:
            await client.receive()
    except WebSocketDisconnect as end:
        return end.code


@pytest.mark.parametrize("code", [CloseCode.SERVICE_RESTART, CloseCode.GOING_AWAY])
async def test_every_client_is_told(wire: str, code: CloseCode) -> None:
    """Each gets the close code, the server returns by itself, and has let go of everybody."""
    codes = []
    async with run_server(ECHO) as server, trio.open_nursery() as nursery:

        async def talk(task_status: trio.TaskStatus[None]) -> None:
            async with connect(server) as client:
                await client.send("hello")
                assert await client.receive() == "hello"
                task_status.started()
                codes.append(await get_code(client))

        for _ in range(20):
            await nursery.start(talk)
        assert server.itself.ready
        server.itself.drain(code)
        assert not server.itself.ready
        await server.stopped.wait()
    assert codes == [code] * 20
    statistics = server.itself.statistics()
    assert statistics.closed == {code: 20}
    assert (statistics.open, statistics.websockets) == (0, 0)


@pytest.mark.parametrize("cancelled", [False, True], ids=["drained", "cancelled"])
async def test_a_page_that_is_not_read(wire: str, cancelled: bool) -> None:
    """A client that does not take a large response, or takes it slowly, does not hold the server."""
    sending = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        sending.set()
        await send({"type": "http.response.body", "body": bytes(30 * 1024 * 1024)})

    async with run_server(app, Limits(drain_timeout=0.2, write_timeout=60)) as server:
        async with await open_stream(server.url) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await sending.wait()
            if cancelled:
                server.stop()
            else:
                server.itself.drain()
            await server.stopped.wait()


async def test_what_is_queued_comes_first(wire: str) -> None:
    """A client that is behind gets everything that was sent to it, and then the close frame."""
    count, size = 9, 100_000

    class Flood(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "flood")
            for number in range(count):
                self.hub.broadcast_nowait("flood", number.to_bytes(2, "big") * (size // 2))
            drain()

    app = App(routes=[WebSocketRoute("/", Flood)])
    limits = Limits(drain_timeout=DRAIN)
    async with run_server(app, limits) as server:
        drain = server.itself.drain
        async with connect(server) as client:
            for number in range(count):
                assert await client.receive() == number.to_bytes(2, "big") * (size // 2)
            assert await get_code(client) == CloseCode.SERVICE_RESTART
        await server.stopped.wait()


async def test_upgrades_are_refused_meanwhile(wire: str) -> None:
    """While it drains, it still accepts and answers: a new WebSocket is told to come back, and where nobody is left,
    the port is closed."""

    class Stays(WebSocketEndpoint):
        disconnect_grace = 60

        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await may_end.wait()

    may_end = trio.Event()
    app = App(routes=[WebSocketRoute("/", Stays)])
    async with run_server(app) as server:
        async with connect(server) as client:
            server.itself.drain()
            assert await get_code(client) == CloseCode.SERVICE_RESTART
        async with await open_stream(server.url) as stream:
            await stream.send_all(UPGRADE)
            answer = await receive_all(stream)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in answer
        may_end.set()
        await server.stopped.wait()
        with pytest.raises(OSError, match="all attempts|refused"):
            await open_stream(server.url)
    assert server.itself.statistics().refused == {503: 1}


async def test_a_handshake_that_is_not_answered_yet(wire: str) -> None:
    """A client that waits for accept gets 503 as well, and its endpoint ends."""
    connecting = trio.Event()

    class Slow(WebSocketEndpoint):
        disconnect_grace = 0

        async def on_connect(self, websocket: WebSocket) -> None:
            connecting.set()
            await trio.sleep_forever()

    async with run_server(App(routes=[WebSocketRoute("/", Slow)])) as server:
        async with await open_stream(server.url) as stream:
            await stream.send_all(UPGRADE)
            await connecting.wait()
            server.itself.drain()
            assert (await receive_all(stream)).startswith(b"HTTP/1.1 503 ")
        await server.stopped.wait()


async def test_handlers_are_cancelled_at_the_deadline(wire: str, caplog: pytest.LogCaptureFixture) -> None:
    """One that would go on for ever does not keep the server."""
    cancelled = trio.Event()

    class Stubborn(WebSocketEndpoint):
        disconnect_grace = float("inf")

        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            try:
                await trio.sleep_forever()
            finally:
                cancelled.set()

    async with run_server(App(routes=[WebSocketRoute("/", Stubborn)]), QUICK) as server:
        async with await open_stream(server.url) as stream:
            await stream.send_all(UPGRADE)
            await receive_until(stream, b"\r\n\r\n")
            server.itself.drain()
            close = await receive_until(stream, b"restarting")
            assert close[2:4] == CloseCode.SERVICE_RESTART.to_bytes(2, "big")
            await stream.send_all(frame(close[2:4], opcode=8))
            assert await receive_all(stream) == b""
            await server.stopped.wait()
    assert cancelled.is_set()
    assert "handlers still run after 0.2 s; they are cancelled" in caplog.text


async def test_a_request_that_runs_may_finish(wire: str) -> None:
    """HTTP is treated likewise: what has begun gets its answer."""
    app = App()
    begun, may_end = trio.Event(), trio.Event()

    @app.route("/slow")
    async def slow(request: Any) -> str:
        begun.set()
        await may_end.wait()
        return "at last"

    async with run_server(app) as server:
        async with await open_stream(server.url) as stream:
            await stream.send_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await begun.wait()
            server.itself.drain()
            await trio.testing.wait_all_tasks_blocked(0.01)
            may_end.set()
            assert (await receive_all(stream)).endswith(b"at last")
        await server.stopped.wait()


async def test_an_idle_http_connection_does_not_keep_it(wire: str) -> None:
    """A browser that keeps its connection open is let go at once."""
    app = App()

    @app.route("/")
    async def page(request: Any) -> str:
        return "hello"

    async with run_server(app) as server, await open_stream(server.url) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await receive_until(stream, b"hello")
        server.itself.drain()
        await server.stopped.wait()
        assert await receive_all(stream) == b""


async def test_the_lifespan_ends_last(wire: str) -> None:
    """What it holds together is there until the last ``on_disconnect`` has run."""
    order = []

    @asynccontextmanager
    async def lifespan(app: App) -> Any:
        yield
        order.append("lifespan")

    class Noted(Echo):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            await trio.sleep(0.01)
            order.append(f"on_disconnect {close_code}")

    async with run_server(App(routes=[WebSocketRoute("/", Noted)], lifespan=lifespan)) as server:
        async with connect(server) as client:
            server.itself.drain()
            await get_code(client)
        await server.stopped.wait()
    assert order == ["on_disconnect 1012", "lifespan"]


async def test_close_frames_are_spread() -> None:
    """Many clients are not told in one moment, but a lot every ten milliseconds: half are told in half the time."""
    clients = 60
    times: list[float] = []
    async with run_server(ECHO, Limits(drain_timeout=DRAIN)) as server, trio.open_nursery() as nursery:

        async def wait_for_the_end(task_status: trio.TaskStatus[None]) -> None:
            async with connect(server) as client:
                task_status.started()
                await get_code(client)
                times.append(trio.current_time())

        for _ in range(clients):
            await nursery.start(wait_for_the_end)
        began = trio.current_time()
        server.itself.drain()
        await server.stopped.wait()
    assert times[-1] - began >= 0.01 * (clients - 1)


async def test_the_first_wish_counts() -> None:
    """A second drain changes nothing."""
    async with run_server(ECHO) as server, connect(server) as client:
        server.itself.drain(CloseCode.GOING_AWAY)
        server.itself.drain(CloseCode.SERVICE_RESTART)
        assert await get_code(client) == CloseCode.GOING_AWAY


async def test_a_code_that_cannot_be_sent() -> None:
    """It is the caller's mistake, and nothing begins."""
    server = Server(ECHO)
    with pytest.raises(ValueError, match="1006"):
        server.drain(CloseCode.ABNORMAL_CLOSURE)
    assert server.statistics().accepted == 0
    assert not server.ready


async def test_two_thousand_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one of them gets a close code, and all sockets are closed in time."""
    monkeypatch.setattr("wsframework.server.drain._SPREAD", 0.01)  # not half of the time that a busy machine may need
    clients = 2000
    codes: Counter[bytes] = Counter()
    limits = Limits(drain_timeout=200, handshake_timeout=200, close_timeout=200, ping_interval=None)
    async with run_server(ECHO, limits, patience=300) as server:
        streams = []
        for _ in range(clients):
            stream = await open_stream(server.url)
            await stream.send_all(UPGRADE)
            streams.append(stream)
        for stream in streams:
            await receive_until(stream, b"\r\n\r\n")
        server.itself.drain()

        async def read_code(stream: Any) -> None:
            last = await receive_until(stream, b"restarting")
            codes[last[2:4]] += 1
            await stream.send_all(frame(last[2:4], opcode=8))
            assert await receive_all(stream) == b""
            await stream.aclose()

        async with trio.open_nursery() as nursery:
            for stream in streams:
                nursery.start_soon(read_code, stream)
        await server.stopped.wait()
    assert codes == {CloseCode.SERVICE_RESTART.to_bytes(2, "big"): clients}
    assert server.itself.statistics().closed == {CloseCode.SERVICE_RESTART: clients}


async def test_an_idle_connection_behind_a_file(wire: str, tmp_path: Path) -> None:
    """A browser that has loaded a page and keeps its connection does not keep the server either."""
    (tmp_path / "page.html").write_text("hello", "utf-8")
    app = App(routes=[Mount("/", StaticFiles(directory=tmp_path))])
    request = b"GET /page.html HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with run_server(app) as server, await open_stream(server.url) as stream:
        for _ in range(2):
            await stream.send_all(request)
            await receive_until(stream, b"hello")
        server.itself.drain()
        with trio.fail_after(DRAIN / 2):
            await server.stopped.wait()
        assert await receive_all(stream) == b""
