"""A server that is asked to stop while clients speak HTTP/2 with it: see `wsframework.server.http.http2.protocol`."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h2.errors
import h2.settings
import pytest
import trio
from hypercorn.config import Config
from starlette.requests import Request
from starlette.responses import StreamingResponse
from trio.testing import wait_all_tasks_blocked

from tests.net.http2.client import HTTP2Client, HTTP2Stream, connected
from tests.net.servers import RunningServer, frame, open_stream, run_server
from wsframework import App, CloseCode, Limits, WebSocket, WebSocketEndpoint, WebSocketRoute

KIB = 1024
REFUSED_STREAM = h2.errors.ErrorCodes.REFUSED_STREAM

pytestmark = pytest.mark.usefixtures("wire")


class Stage:
    """An application, and what a test knows and decides of it.

    Attributes:
        gone: the close codes that ``on_disconnect`` got.
        asked: the paths of the WebSockets that reached an endpoint.
        begun: a slow request runs.
        may_end: slow requests wait for this.
    """

    def __init__(self) -> None:
        self.gone: list[int] = []
        self.asked: list[str] = []
        self.begun = trio.Event()
        self.may_end = trio.Event()
        stage = self

        class Echo(WebSocketEndpoint):
            async def on_connect(self, websocket: WebSocket) -> None:
                stage.asked.append(websocket.url.path)
                await websocket.accept()

            async def on_receive(self, websocket: WebSocket, data: str) -> None:
                await websocket.send_text(data)

            async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
                stage.gone.append(close_code)

        class Silent(Echo):
            disconnect_grace = 0

            async def on_connect(self, websocket: WebSocket) -> None:
                stage.begun.set()
                await trio.sleep_forever()

        self.app = App(routes=[WebSocketRoute("/", Echo), WebSocketRoute("/silent", Silent)])

        @self.app.route("/")
        async def page(request: Request) -> str:
            return "a page"

        @self.app.route("/slow")
        async def slow(request: Request) -> StreamingResponse:
            async def parts() -> AsyncIterator[bytes]:
                yield b"at "
                stage.begun.set()
                await stage.may_end.wait()
                yield b"last" * 100 * KIB

            return StreamingResponse(parts())


@pytest.fixture
def stage() -> Stage:
    return Stage()


@asynccontextmanager
async def connect(server: RunningServer) -> AsyncIterator[HTTP2Client]:
    async with connected(await open_stream(server.url)) as client:
        yield client


async def receive_code(websocket: HTTP2Stream) -> int:
    """Read the close frame, answer it as a client does, and return its code."""
    opcode, payload = await websocket.receive_message()
    assert opcode == 8
    await websocket.send(frame(payload, 8), end=True)
    return int.from_bytes(payload[:2], "big")


async def open_slow(client: HTTP2Client, stage: Stage) -> HTTP2Stream:
    """Make a request that is answered when the test says so."""
    fields = [(":method", "GET"), (":authority", "localhost"), (":scheme", "https"), (":path", "/slow")]
    stream = await client.request(fields)
    await stage.begun.wait()
    return stream


@pytest.mark.parametrize("code", [CloseCode.SERVICE_RESTART, CloseCode.GOING_AWAY])
async def test_every_client_is_told(stage: Stage, code: CloseCode, caplog: pytest.LogCaptureFixture) -> None:
    """Each WebSocket of each connection gets the close code, and the server returns by itself."""
    async with run_server(stage.app) as server, connect(server) as first, connect(server) as second:
        websockets = [await client.open_websocket() for client in (first, second) for _ in range(5)]
        server.itself.drain(code)
        assert [await receive_code(websocket) for websocket in websockets] == [code] * 10
        for client in (first, second):
            await client.ended.wait()
            assert client.goodbye == h2.errors.ErrorCodes.NO_ERROR
        await server.stopped.wait()
    assert stage.gone == [code] * 10
    statistics = server.itself.statistics()
    assert (statistics.open, statistics.websockets, statistics.http) == (0, 0, 2)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_client_that_does_not_answer(stage: Stage) -> None:
    """One that never ends its stream is let go after the close timeout, and its connection with it."""
    limits = Limits(close_timeout=0.05, drain_timeout=8)
    async with run_server(stage.app, limits) as server, connect(server) as client:
        websocket = await client.open_websocket()
        server.itself.drain()
        assert await websocket.receive_message() == (8, b"\x03\xf4the server is restarting")
        await client.ended.wait()
        await server.stopped.wait()
    assert stage.gone == [CloseCode.SERVICE_RESTART]


async def test_what_is_queued_comes_first(stage: Stage) -> None:
    """A client that is behind gets everything that was sent to it, over many windows, and then the close frame."""
    count, size = 9, 100_000
    async with run_server(stage.app, Limits(drain_timeout=8)) as server, connect(server) as client:
        websocket = await client.open_websocket()
        for number in range(count):
            await websocket.send_message(b"%d" % number * size)
        assert await websocket.receive_message() == (1, b"0" * size)
        server.itself.drain()
        received = [await websocket.receive_message()]
        while received[-1][0] != 8:
            received.append(await websocket.receive_message())
        await websocket.send(frame(received[-1][1], 8), end=True)
        await server.stopped.wait()
    # Messages of the client that the endpoint had not taken are not answered any more.
    assert received[:-1] == [(1, b"%d" % number * size) for number in range(1, len(received))]


async def test_upgrades_are_refused_meanwhile(stage: Stage) -> None:
    """A WebSocket that is asked for now gets 503, on an old connection and on a new one, and reaches no endpoint."""
    async with run_server(stage.app) as server, connect(server) as client:
        slow = await open_slow(client, stage)
        server.itself.drain()
        await wait_all_tasks_blocked()
        websocket = await client.websocket()
        assert await websocket.receive_status() == "503"
        assert websocket.headers["retry-after"] == "1"
        assert b"stopping" in await websocket.receive_all()
        async with connect(server) as newcomer:
            websocket = await newcomer.websocket()
            assert await websocket.receive_status() == "503"
            await websocket.receive_all()
            await newcomer.ended.wait()
        stage.may_end.set()
        await slow.receive_all()
        await server.stopped.wait()
    assert stage.asked == []


async def test_a_handshake_that_is_not_answered_yet(stage: Stage) -> None:
    """A client that waits for accept gets 503 as well, and its endpoint ends."""
    async with run_server(stage.app) as server, connect(server) as client:
        websocket = await client.websocket("/silent")
        await stage.begun.wait()
        server.itself.drain()
        assert await websocket.receive_status() == "503"
        await websocket.receive_all()
        await server.stopped.wait()


async def test_a_request_that_runs_may_finish(stage: Stage) -> None:
    """It is answered whole, to its end of stream, beside WebSockets that are closed; then the connection ends."""
    async with run_server(stage.app, Limits(drain_timeout=8)) as server, connect(server) as client:
        slow = await open_slow(client, stage)
        websocket = await client.open_websocket()
        server.itself.drain()
        assert await receive_code(websocket) == CloseCode.SERVICE_RESTART
        assert not client.ended.is_set()
        stage.may_end.set()
        body = await slow.receive_all()
        assert (slow.reset, slow.finished) == (None, True)
        assert body == b"at " + b"last" * 100 * KIB
        await client.ended.wait()
        assert client.goodbye == h2.errors.ErrorCodes.NO_ERROR
        await server.stopped.wait()


async def test_a_page_that_is_not_read() -> None:
    """A client that opens its windows wide, and then reads nothing, does not hold the server."""
    sending = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        sending.set()
        await send({"type": "http.response.body", "body": bytes(30 * 1024 * KIB)})

    async with run_server(app, Limits(drain_timeout=0.2, write_timeout=60)) as server:
        async with await open_stream(server.url) as stream:
            client = HTTP2Client(stream)
            client.state.initiate_connection()
            client.state.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
            client.state.increment_flow_control_window(2**30)
            await client.request(
                [(":method", "GET"), (":authority", "localhost"), (":scheme", "https"), (":path", "/")]
            )
            await sending.wait()
            server.itself.drain()
            await server.stopped.wait()


async def test_a_further_request(stage: Stage) -> None:
    """One on an old connection is refused in a way that has the client make it again elsewhere; others run on."""
    async with run_server(stage.app) as server, connect(server) as client:
        slow = await open_slow(client, stage)
        server.itself.drain()
        await wait_all_tasks_blocked()
        with pytest.raises(AssertionError, match="without an answer"):
            await client.get("/")
        assert client.last_reset == REFUSED_STREAM
        stage.may_end.set()
        assert (await slow.receive_all()).endswith(b"last")
        await server.stopped.wait()


async def test_a_new_connection(stage: Stage) -> None:
    """The first request of one is answered, as over HTTP/1.1, and then it ends."""
    async with run_server(stage.app) as server, connect(server) as client:
        slow = await open_slow(client, stage)
        server.itself.drain()
        await wait_all_tasks_blocked()
        async with connect(server) as newcomer:
            await newcomer.settings.wait()
            await wait_all_tasks_blocked(0.01)
            assert await newcomer.get("/") == ("200", b"a page")
            await newcomer.ended.wait()
        stage.may_end.set()
        await slow.receive_all()
        await server.stopped.wait()


async def test_a_new_connection_that_asks_for_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not keep the server for longer than any idle connection."""
    async with run_server(stage.app) as server, connect(server) as client:
        slow = await open_slow(client, stage)
        monkeypatch.setattr(Config, "keep_alive_timeout", 0.05)
        server.itself.drain()
        await wait_all_tasks_blocked()
        async with connect(server) as newcomer:
            await newcomer.ended.wait()
            assert newcomer.goodbye == h2.errors.ErrorCodes.NO_ERROR
        stage.may_end.set()
        await slow.receive_all()
        await server.stopped.wait()


async def test_an_idle_connection_does_not_keep_it(stage: Stage) -> None:
    """One that waits for its next request is let go at once, and told up to where it was heard."""
    async with run_server(stage.app) as server, connect(server) as client:
        assert await client.get("/") == ("200", b"a page")
        server.itself.drain()
        await client.ended.wait()
        assert client.goodbye == h2.errors.ErrorCodes.NO_ERROR
        await server.stopped.wait()


async def test_handlers_are_cancelled_at_the_deadline(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A request that would go on for ever does not keep the server."""
    async with run_server(stage.app, Limits(drain_timeout=0.2)) as server, connect(server) as client:
        await open_slow(client, stage)
        server.itself.drain()
        await server.stopped.wait()
    assert "handlers still run after 0.2 s; they are cancelled" in caplog.text


async def test_a_refused_request_leaves_an_idle_connection(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose only request could not be served is let go as an idle one, and not kept for ever."""
    async with run_server(stage.app) as server, connect(server) as client:
        await client.settings.wait()  # its idle time runs from here, and will be a short one next time
        monkeypatch.setattr(Config, "keep_alive_timeout", 0.05)
        websocket = await client.websocket(protocol="something-else")
        assert await websocket.receive_status() == "501"
        await client.ended.wait()


async def test_last_words_of_a_client_that_is_behind(stage: Stage) -> None:
    """Where the client has ended first, and opens its window only then, what was queued still leaves before the end."""
    async with run_server(stage.app, Limits(drain_timeout=8)) as server, connect(server) as client:
        websocket = await client.open_websocket()
        websocket.reading = False
        await websocket.send_message(b"x" * 70_000)
        while websocket.waiting < 65_535:
            await websocket.wait_for_news()
        await websocket.send_message(b"\x03\xe8", 8)
        await websocket.send(b"", end=True)
        server.itself.drain()
        await wait_all_tasks_blocked(0.01)
        client.state.increment_flow_control_window(65_535, websocket.number)
        await client.flush()
        assert await websocket.receive_message() == (1, b"x" * 70_000)
        assert await websocket.receive_message() == (8, b"\x03\xe8")
        await websocket.receive_all()
        assert websocket.finished
        await server.stopped.wait()
