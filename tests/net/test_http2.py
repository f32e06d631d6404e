"""WebSockets over HTTP/2 (RFC 8441), and what clients of HTTP/2 can try: see `wsframework.server.http.http2`."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.errors
import pytest
import trio
import trustme
from starlette.requests import Request

from tests.net.http2 import HTTP2Client, connected
from tests.net.servers import (
    RunningServer,
    ServedOverSockets,
    client_context,
    frame,
    open_stream,
    run_server,
    write_certificate,
)
from wsframework import App, CloseCode, Limits, WebSocket, WebSocketEndpoint
from wsframework.server import reactor

KIB = 1024
CLOSE_1000 = b"\x03\xe8"
ENHANCE_YOUR_CALM = h2.errors.ErrorCodes.ENHANCE_YOUR_CALM


class Watched(WebSocketEndpoint):
    """Echoes, subscribes to a topic, and notes how clients went."""

    gone: list[tuple[int, str]]
    scopes: list[Any]

    async def on_connect(self, websocket: WebSocket) -> None:
        self.scopes.append(websocket.scope)
        await websocket.accept("chat" if "chat" in websocket.scope["subprotocols"] else None)
        await self.hub.subscribe(websocket, "all")

    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        self.gone.append((close_code, websocket.close_reason))


@pytest.fixture
def endpoint() -> type[Watched]:
    class Fresh(Watched):
        gone = []  # noqa: RUF012 - a class for each test
        scopes = []  # noqa: RUF012

    return Fresh


@pytest.fixture
def app(endpoint: type[Watched]) -> App:
    app = App()
    app.websocket("/")(endpoint)

    @app.websocket("/refused")
    async def refused(websocket: WebSocket) -> None:
        await websocket.close()

    @app.websocket("/busy")
    async def busy(websocket: WebSocket) -> None:
        await websocket.accept()
        await trio.sleep_forever()

    @app.websocket("/broken")
    async def broken(websocket: WebSocket) -> None:
        await websocket.accept()
        raise LookupError("the secret of the house")

    @app.route("/")
    async def index(request: Request) -> str:
        return "a front page"

    @app.route("/answer-early", methods=["POST"])
    async def answer_early(request: Request) -> str:
        return "I do not want to read all of that"

    return app


@pytest.fixture(params=["reactor tls", "portable tls", "reactor plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ways that HTTP/2 can come: agreed on in TLS, or with prior knowledge."""
    if request.param.startswith("reactor") and not reactor.AVAILABLE:
        pytest.skip("there is no epoll on this system")
    monkeypatch.setattr(reactor, "AVAILABLE", request.param.startswith("reactor"))
    return str(request.param)


class Site:
    """A server, and how to connect to it."""

    def __init__(self, server: RunningServer, authority: trustme.CA | None) -> None:
        self.server = server
        self.authority = authority

    @asynccontextmanager
    async def connect(self, *, validate: bool = True) -> AsyncIterator[HTTP2Client]:
        tls = None if self.authority is None else client_context(self.authority, "h2")
        stream = await open_stream(self.server.url, tls)
        async with connected(stream, validate=validate) as client:
            yield client

    def other(self) -> Any:
        """A client of HTTP/1.1, which must not notice anything."""
        return ServedOverSockets(self.server.url, self.authority and client_context(self.authority)).connect()


@pytest.fixture
def serve(way: str, app: App, tmp_path: Path) -> Any:
    """A function that serves the application the given way."""

    @asynccontextmanager
    async def serve(limits: Limits | None = None, **options: Any) -> AsyncIterator[Site]:
        authority = None
        if way.endswith("tls"):
            authority = trustme.CA()
            options["certfile"], options["keyfile"] = write_certificate(authority, tmp_path)
        async with run_server(app, limits, **options) as server:
            yield Site(server, authority)

    return serve


def errors_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


async def wait_until(condition: Any) -> None:
    """Wait for something that nobody announces; the test's own deadline bounds it."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await trio.sleep(0.005)


# WebSockets


async def test_messages_both_ways(serve: Any, endpoint: type[Watched], caplog: pytest.LogCaptureFixture) -> None:
    """Text and bytes are echoed, pings are answered, and the client's close code and reason arrive."""
    async with serve() as site, site.connect() as client:
        websocket = await client.open_websocket()
        await websocket.send_message(b"hello")
        assert await websocket.receive_message() == (1, b"hello")
        await websocket.send_message(b"\0\xff", 2)
        assert await websocket.receive_message() == (2, b"\0\xff")
        await websocket.send_message(b"are you there?", 9)
        assert await websocket.receive_message() == (10, b"are you there?")
        await websocket.send_message(b"\x0f\xa1see you", 8)
        assert await websocket.receive_message() == (8, b"\x0f\xa1see you")
        assert await websocket.receive_all() == b""
        assert websocket.reset is None
        await wait_until(lambda: endpoint.gone)
    assert endpoint.gone == [(4001, "see you")]
    assert not errors_in(caplog)


async def test_scope(serve: Any, way: str, endpoint: type[Watched]) -> None:
    """The application sees a WebSocket like any other, whose http_version is 2."""
    async with serve() as site, site.connect() as client:
        websocket = await client.websocket("/?a=b", ("sec-websocket-protocol", "news, chat"), ("x-name", "value"))
        assert await websocket.receive_status() == "200"
        assert websocket.headers["sec-websocket-protocol"] == "chat"
        assert not {"connection", "upgrade", "sec-websocket-accept"} & set(websocket.headers)
        [scope] = endpoint.scopes
        assert scope["http_version"] == "2"
        assert scope["scheme"] == ("wss" if way.endswith("tls") else "ws")
        assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/", b"/", b"a=b")
        assert scope["subprotocols"] == ["news", "chat"]
        assert scope["client"][0] == "127.0.0.1"
        assert dict(scope["headers"]) == {
            b"host": b"localhost",
            b"sec-websocket-version": b"13",
            b"sec-websocket-protocol": b"news, chat",
            b"x-name": b"value",
        }


async def test_many_streams_and_a_broadcast(serve: Any, app: App, endpoint: type[Watched]) -> None:
    """WebSockets by the dozen on one connection echo at the same time, and each gets what is published."""
    async with serve() as site, site.connect() as client:
        websockets = [await client.open_websocket() for _ in range(99)]

        async def visit(number: int) -> None:
            await websockets[number].send_message(b"%d" % number)
            assert await websockets[number].receive_message() == (1, b"%d" % number)

        async with trio.open_nursery() as nursery:
            for number in range(len(websockets)):
                nursery.start_soon(visit, number)
        await app.hub.broadcast("all", "news")
        for websocket in websockets:
            assert await websocket.receive_message() == (1, b"news")
        assert await client.get("/") == ("200", b"a front page")


@pytest.mark.parametrize("size", [65_535, 1000 * KIB])
async def test_large_messages(serve: Any, size: int) -> None:
    """Messages of many windows arrive whole, both ways, several of them at once."""
    payload = bytes(range(250)) * (size // 250)
    async with serve() as site, site.connect() as client, trio.open_nursery() as nursery:
        for _ in range(3):
            websocket = await client.open_websocket()

            async def send(websocket: Any = websocket) -> None:
                for _ in range(2):
                    await websocket.send_message(payload, 2)

            async def receive(websocket: Any = websocket) -> None:
                for _ in range(2):
                    assert await websocket.receive_message() == (2, payload)

            nursery.start_soon(send)
            nursery.start_soon(receive)


async def test_a_stream_that_is_not_read(serve: Any) -> None:
    """A client whose window is full, and that sends on, holds up neither its other streams nor its pings."""
    async with serve() as site, site.connect() as client, trio.open_nursery() as nursery:
        stuck = await client.open_websocket()
        stuck.reading = False

        async def flood() -> None:
            while True:
                await stuck.send_message(b"x" * 1000, 2)

        nursery.start_soon(flood)
        websocket = await client.open_websocket()
        for number in range(100):
            await websocket.send_message(b"%d" % number)
            assert await websocket.receive_message() == (1, b"%d" % number)
        nursery.cancel_scope.cancel()


async def test_backpressure(serve: Any) -> None:
    """An endpoint that takes nothing makes its client wait, after an inbox and a window, and nobody else."""
    async with serve(Limits(inbox_messages=4)) as site, site.connect() as client, trio.open_nursery() as nursery:
        busy = await client.open_websocket("/busy")
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await busy.send_message(b"x" * 10_000, 2)
                sent += 1

        nursery.start_soon(flood)
        websocket = await client.open_websocket()
        for number in range(100):
            await websocket.send_message(b"%d" % number)
            assert await websocket.receive_message() == (1, b"%d" % number)
        assert sent < 20
        nursery.cancel_scope.cancel()


async def test_reset_of_a_stream(serve: Any, endpoint: type[Watched], caplog: pytest.LogCaptureFixture) -> None:
    """A stream that is reset is a client that is gone, 1006; one that ends without a close frame too. Others go on."""
    async with serve() as site, site.connect() as client:
        first, second, third = [await client.open_websocket() for _ in range(3)]
        await first.send_reset()
        await wait_until(lambda: len(endpoint.gone) == 1)
        await second.send(b"", end=True)
        await wait_until(lambda: len(endpoint.gone) == 2)
        await second.receive_all()
        await third.send_message(b"still here")
        assert await third.receive_message() == (1, b"still here")
    assert [code for code, _ in endpoint.gone[:2]] == [CloseCode.ABNORMAL_CLOSURE] * 2
    assert not errors_in(caplog)


async def test_data_on_a_stream_that_is_over(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What still comes for a stream that was answered or closed is thrown away, and the others go on."""
    async with serve() as site, site.connect() as client:
        post = await client.request(
            [(":method", "POST"), (":authority", "localhost"), (":scheme", "https"), (":path", "/answer-early")],
            end=False,
        )
        assert await post.receive_status() == "200"
        await post.receive_all()
        await post.send(b"x" * 100_000)
        websocket = await client.open_websocket()
        await websocket.send_message(CLOSE_1000, 8)
        await websocket.send_message(b"too late")
        other = await client.open_websocket()
        await other.send_message(b"still here")
        assert await other.receive_message() == (1, b"still here")
    assert not errors_in(caplog)


async def test_connection_that_is_gone(serve: Any, endpoint: type[Watched], caplog: pytest.LogCaptureFixture) -> None:
    """When the client goes, each of its WebSockets ends once, with 1006."""
    async with serve() as site:
        async with site.connect() as client:
            for _ in range(10):
                await client.open_websocket()
        await wait_until(lambda: len(endpoint.gone) == 10)
    assert {code for code, _ in endpoint.gone} == {CloseCode.ABNORMAL_CLOSURE}
    assert not errors_in(caplog)


async def test_server_stop(serve: Any, endpoint: type[Watched], caplog: pytest.LogCaptureFixture) -> None:
    """A server that stops closes every WebSocket with 1001, and waits for no longer than it takes to answer."""
    async with serve() as site, site.connect() as client:
        websockets = [await client.open_websocket() for _ in range(5)]
        site.server.stop()
        for websocket in websockets:
            assert await websocket.receive_message() == (8, b"\x03\xe9")
            await websocket.send(frame(b"\x03\xe9", 8), end=True)
        started = trio.current_time()
        await client.ended.wait()
        await site.server.stopped.wait()
        assert trio.current_time() - started < 0.9
    assert endpoint.gone == [(CloseCode.GOING_AWAY, "")] * 5
    assert not errors_in(caplog)


async def test_limits_hold(serve: Any, endpoint: type[Watched]) -> None:
    """A message beyond the limit is answered with 1009, a protocol error with 1002, as over HTTP/1.1."""
    async with serve(Limits(message=1000)) as site, site.connect() as client:
        websocket = await client.open_websocket()
        await websocket.send(frame(b"x" * 1001)[:8])
        assert (await websocket.receive_message())[1][:2] == b"\x03\xf1"
        websocket = await client.open_websocket()
        await websocket.send(b"\x81\x05hello")  # not masked
        assert (await websocket.receive_message())[1][:2] == b"\x03\xea"
        await wait_until(lambda: len(endpoint.gone) == 2)
    assert [code for code, _ in endpoint.gone] == [CloseCode.MESSAGE_TOO_BIG, CloseCode.PROTOCOL_ERROR]


async def test_a_client_that_answers_no_ping(serve: Any, endpoint: type[Watched]) -> None:
    """It is cut off: its stream is reset, and its other streams go on."""
    async with serve(Limits(ping_interval=0.1, ping_timeout=0.1)) as site, site.connect() as client:
        websocket = await client.open_websocket()
        await websocket.receive_all()
        assert websocket.reset == h2.errors.ErrorCodes.CANCEL
        await wait_until(lambda: endpoint.gone)
        assert await client.get("/") == ("200", b"a front page")
    assert endpoint.gone[0][0] == CloseCode.ABNORMAL_CLOSURE


async def test_a_client_that_takes_nothing(serve: Any, endpoint: type[Watched]) -> None:
    """A stream whose window stays closed is cut off after the write deadline."""
    async with serve(Limits(write_timeout=0.3)) as site, site.connect() as client:
        websocket = await client.open_websocket()
        websocket.reading = False
        for _ in range(4):
            await websocket.send_message(b"x" * 100_000, 2)
        await wait_until(lambda: endpoint.gone)
    assert "took too little" in endpoint.gone[0][1]


async def test_names_of_the_server(serve: Any) -> None:
    """With ``server_names`` the authority has to be one of them."""
    for names, status in (["elsewhere.example"], "404"), (["elsewhere.example", "localhost"], "200"):
        async with serve(server_names=names) as site, site.connect() as client:
            assert await (await client.websocket()).receive_status() == status


async def test_refusals(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A handshake can be refused in all the ways that one of HTTP/1.1 can, and a proxy is asked for in vain (H22)."""
    async with serve() as site, site.connect(validate=False) as client:
        assert await (await client.websocket("/refused")).receive_status() == "403"
        assert await (await client.websocket("/nowhere")).receive_status() in ("403", "404")
        assert await (await client.websocket(protocol="connect-udp")).receive_status() == "501"
        assert await (await client.websocket("no-slash")).receive_status() == "400"
        old = await client.websocket("/", ("sec-websocket-version", "8"))
        assert await old.receive_status() == "426"
        assert (await old.receive_all()).endswith(b"\n")
        proxied = await client.request([(":method", "CONNECT"), (":authority", "victim.com:443")], end=False)
        assert await proxied.receive_status() == "405"
        assert await client.get("/") == ("200", b"a front page")
    assert not errors_in(caplog)


async def test_application_that_fails(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Its client gets 1011 without a word of the error, which is logged once; other streams go on."""
    async with serve() as site, site.connect() as client:
        other = await client.open_websocket()
        websocket = await client.open_websocket("/broken")
        assert await websocket.receive_message() == (8, b"\x03\xf3")
        await other.send_message(b"still here")
        assert await other.receive_message() == (1, b"still here")
    assert len(errors_in(caplog)) == 1


# What clients can try (H42)


async def survive(client: HTTP2Client, site: Site) -> None:
    """The connection is closed, and another client is answered."""
    await client.ended.wait()
    async with site.other() as other:
        await other.send("are you there?")
        assert await other.receive() == "are you there?"


async def test_h42_rapid_reset(serve: Any, endpoint: type[Watched], caplog: pytest.LogCaptureFixture) -> None:
    """Streams that are opened and reset all the time end the connection with ENHANCE_YOUR_CALM (CVE-2023-44487)."""
    async with serve() as site, site.connect() as client:
        await client.settings.wait()
        for _ in range(1000):
            number = client.state.get_next_available_stream_id()
            fields = [(":method", "GET"), (":authority", "localhost"), (":scheme", "https"), (":path", "/")]
            client.state.send_headers(number, fields)
            client.state.reset_stream(number)
        await client.flush()
        await survive(client, site)
        assert client.goodbye == ENHANCE_YOUR_CALM
    assert not errors_in(caplog)


async def test_h42_empty_data(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """So do frames of DATA without any."""
    async with serve() as site, site.connect() as client:
        websocket = await client.open_websocket()
        await client.send_raw((b"\0\0\0\0\0" + websocket.number.to_bytes(4, "big")) * 5000)
        await survive(client, site)
        assert client.goodbye == ENHANCE_YOUR_CALM
    assert not errors_in(caplog)


@pytest.mark.parametrize(
    "data",
    [b"\0\0\x08\x06\0\0\0\0\0whatever", b"\0\0\0\x04\0\0\0\0\0", b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01"],
    ids=["ping", "settings", "window"],
)
async def test_h42_empty_frames(serve: Any, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """So do other frames that carry nothing for anybody, thousands in a second."""
    async with serve() as site, site.connect() as client:
        await client.settings.wait()
        await client.send_raw(data * 5000)
        await survive(client, site)
        assert client.goodbye == ENHANCE_YOUR_CALM
    assert not errors_in(caplog)


async def test_many_small_messages(serve: Any) -> None:
    """A client that opens its windows again for every message it gets is no flood."""
    async with serve() as site, site.connect() as client:
        websocket = await client.open_websocket()
        for number in range(1200):
            client.state.increment_flow_control_window(1)
            client.state.increment_flow_control_window(1, websocket.number)
            await websocket.send_message(b"%d" % number)
            assert await websocket.receive_message() == (1, b"%d" % number)


async def test_h42_continuation(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A header that goes on and on ends the connection before it is large (CVE-2024-27919)."""
    async with serve() as site, site.connect() as client:
        await client.settings.wait()
        head = (1).to_bytes(4, "big")
        flood = b"\0\0\x01\x01\0" + head + b"\x82" + (b"\0\x40\0\x09\0" + head + bytes(16384)) * 1000
        await client.send_raw(flood)
        await survive(client, site)
    assert not errors_in(caplog)


@pytest.mark.parametrize(
    "field",
    [("x", "a\r\nset-cookie: b"), ("x\r\ny", "a"), ("x", "a\0b"), ("connection", "upgrade"), ("X-Upper", "a")],
    ids=["line in value", "line in name", "nul", "connection", "upper case"],
)
async def test_h42_header_fields(serve: Any, field: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """Header fields that HTTP/2 does not know, and line breaks in them, never reach an application."""
    async with serve() as site, site.connect(validate=False) as client:
        await client.websocket("/", field)
        await survive(client, site)
    assert not errors_in(caplog)


@pytest.mark.parametrize("field", [(":path", "/caf\u00e9"), (":method", "G\u00cbT")])
async def test_bytes_beyond_ascii(serve: Any, field: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """A path or a method with bytes beyond ASCII is answered with 400, or not at all; nothing fails."""
    fields = {":method": "GET", ":authority": "localhost", ":scheme": "https", ":path": "/"} | dict([field])
    async with serve() as site, site.connect(validate=False) as client:
        stream = await client.request(list(fields.items()))
        async with site.other() as other:
            await other.send("are you there?")
            assert await other.receive() == "are you there?"
        if not client.ended.is_set():
            assert await stream.receive_status() == "400"
    assert not errors_in(caplog)
