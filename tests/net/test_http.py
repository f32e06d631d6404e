"""The contract with hypercorn's inner classes, which serve all that is no WebSocket: see `wsframework.server.http`.

When this fails after an upgrade of hypercorn, that one module has to follow.
"""

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h11
import pytest
import trio
import trustme
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from tests.net.servers import (
    UPGRADE,
    RunningServer,
    ServedOverSockets,
    Stream,
    client_context,
    frame,
    open_stream,
    receive_all,
    receive_until,
    reset,
    run_server,
    write_certificate,
)
from wsframework import App, Limits, WebSocket
from wsframework.server import reactor
from wsframework.server.streams import end_sending

END = b"\r\n\r\n"


@pytest.fixture(params=["reactor", "portable", "tls"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The three ways that a connection can reach the hand-off."""
    if request.param == "reactor" and not reactor.AVAILABLE:
        pytest.skip("there is no epoll on this system")
    monkeypatch.setattr(reactor, "AVAILABLE", request.param == "reactor")
    return str(request.param)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class Task:
    """What a request leaves to be done behind its answer.

    Attributes:
        go_on: set it to let that end.
        done: it has ended, and was not cancelled.
    """

    def __init__(self) -> None:
        self.go_on, self.done = trio.Event(), trio.Event()

    async def run(self) -> None:
        await self.go_on.wait()
        self.done.set()


@pytest.fixture
def task() -> Task:
    return Task()


@pytest.fixture
def app(tmp_path: Path, task: Task) -> App:
    files = tmp_path / "files"
    files.mkdir()
    (files / "page.html").write_text("<p>a page</p>")
    (tmp_path / "secret").write_text("the secret of the house")

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[dict[str, str]]:
        yield {"word": "state"}

    app = App(routes=[Mount("/files", StaticFiles(directory=files))], lifespan=lifespan)

    @app.route("/")
    async def index(request: Request) -> str:
        return "a front page"

    @app.route("/value/{number:int}")
    def value(request: Request) -> dict[str, Any]:
        return {"number": request.path_params["number"], "query": dict(request.query_params)}

    @app.route("/post", methods=["POST"])
    async def post(request: Request) -> str:
        return f"{len(await request.body())} bytes"

    @app.route("/state")
    async def state(request: Request) -> dict[str, Any]:
        client = request.client
        return {"state": request.state.word, "scheme": request.url.scheme, "host": client.host if client else None}

    @app.route("/work")
    async def work(request: Request) -> PlainTextResponse:
        return PlainTextResponse("begun", background=BackgroundTask(task.run))

    @app.route("/broken")
    async def broken(request: Request) -> str:
        raise LookupError("the secret of the house")

    @app.route("/broken-later")
    async def broken_later(request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"a beginning"
            raise LookupError("the secret of the house")

        return StreamingResponse(parts())

    @app.websocket("/")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    return app


class Site:
    """The server, and what it takes to connect to it the one way or the other."""

    def __init__(self, server: RunningServer, tls: ssl.SSLContext | None) -> None:
        self.url = server.url
        self.tls = tls

    async def open(self) -> Stream:
        return await open_stream(self.url, self.tls)

    def websocket(self) -> Any:
        return ServedOverSockets(self.url, self.tls).connect()

    async def get(self, path: str) -> "Response":
        async with await self.open() as stream:
            await stream.send_all(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
            return await receive_response(stream)


class Response:
    def __init__(self, head: h11.Response, body: bytes) -> None:
        self.status = head.status_code
        self.headers = {name.decode(): value.decode() for name, value in head.headers}
        self.body = body


async def receive_response(stream: Stream, parser: h11.Connection | None = None) -> Response:
    """Read one whole response, with a parser that has sent its request."""
    if parser is None:
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method="GET", target="/", headers=[("Host", "localhost")]))
        parser.send(h11.EndOfMessage())
    head, body = None, b""
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            parser.receive_data(await stream.receive_some())
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            return Response(head, body)


@asynccontextmanager
async def serving(way: str, app: App, authority: trustme.CA, folder: Path, **options: Any) -> AsyncIterator[Site]:
    tls = None
    limits = options.pop("limits", None)
    if way == "tls":
        options["certfile"], options["keyfile"] = write_certificate(authority, folder)
        tls = client_context(authority)
    async with run_server(app, limits, **options) as server:
        yield Site(server, tls)


@pytest.fixture
def site(way: str, app: App, authority: trustme.CA, tmp_path: Path) -> Any:
    """A function that serves the application the given way."""

    def site(**options: Any) -> Any:
        return serving(way, app, authority, tmp_path, **options)

    return site


def errors_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


# HTTP/1.1


async def test_routes(site: Any) -> None:
    """Functions of App.route answer, with text, with values, or not at all: 404."""
    async with site() as here:
        front = await here.get("/")
        assert (front.status, front.body) == (200, b"a front page")
        assert front.headers["content-type"] == "text/plain; charset=utf-8"
        value = await here.get("/value/7?a=b")
        assert (value.status, value.body) == (200, b'{"number":7,"query":{"a":"b"}}')
        assert value.headers["content-type"] == "application/json"
        assert (await here.get("/elsewhere")).status == 404
        assert (await here.get("/post")).status == 405


async def test_scope(site: Any, way: str) -> None:
    """A request has the state of the lifespan, the scheme it came by and the address of its client."""
    async with site() as here:
        scheme = b"https" if way == "tls" else b"http"
        assert (await here.get("/state")).body == b'{"state":"state","scheme":"%s","host":"127.0.0.1"}' % scheme


async def test_two_requests_and_a_body(site: Any) -> None:
    """A connection is kept for the next request, and a body of more than a read's worth arrives whole."""
    async with site() as here, await here.open() as stream:
        parser = h11.Connection(h11.CLIENT)
        for method, target, body in (("POST", "/post", b"x" * 200_000), ("GET", "/", b""), ("POST", "/post", b"abc")):
            fields = [("Host", "localhost"), ("Content-Length", str(len(body)))]
            await stream.send_all(parser.send(h11.Request(method=method, target=target, headers=fields)) or b"")
            await stream.send_all((parser.send(h11.Data(body)) or b"") + (parser.send(h11.EndOfMessage()) or b""))
            answer = await receive_response(stream, parser)
            assert answer.body == (b"%d bytes" % len(body) if method == "POST" else b"a front page")
            parser.start_next_cycle()


async def test_pipelined_requests(site: Any) -> None:
    """Two requests that come in one piece are both answered: no byte behind the first is lost in the hand-off."""
    async with site() as here, await here.open() as stream:
        first = b"GET /elsewhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
        await stream.send_all(first + b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answers = await receive_all(stream)
    assert answers.count(b"HTTP/1.1 404 ") == answers.count(b"HTTP/1.1 200 ") == 1
    assert answers.index(b" 404 ") < answers.index(b" 200 ")
    assert answers.endswith(b"a front page")


async def test_dribbled_request(site: Any) -> None:
    """A request that arrives byte by byte is a request."""
    async with site() as here, await here.open() as stream:
        for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n":
            await stream.send_all(bytes([byte]))
            await trio.lowlevel.checkpoint()
        assert (await receive_response(stream)).body == b"a front page"


async def test_static_files(site: Any) -> None:
    """A file is served as what it is, and only what is inside its folder is."""
    async with site() as here:
        page = await here.get("/files/page.html")
        assert (page.status, page.body) == (200, b"<p>a page</p>")
        assert page.headers["content-type"].startswith("text/html")
        for path in ("../secret", "%2e%2e/secret", "..%2fsecret", "%2e%2e%2fsecret", "page.html/../../secret", "none"):
            answer = await here.get(f"/files/{path}")
            assert answer.status == 404, path
            assert b"secret" not in answer.body


async def test_errors_of_the_application(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A request whose function raises gets 500, or breaks off, without a word of the error; others go on."""
    async with site() as here, here.websocket() as other:
        answer = await here.get("/broken")
        assert answer.status == 500
        assert b"secret" not in answer.body
        async with await here.open() as stream:
            await stream.send_all(b"GET /broken-later HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"secret" not in await receive_all(stream)
        await other.send("still here")
        assert await other.receive() == "still here"
        assert (await here.get("/")).status == 200
    assert any("the secret of the house" in str(record.exc_text) for record in errors_in(caplog))


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: elsewhere\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nNo Name: x\r\n\r\n",
        b"POST /post HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n" + b"Y: b\r\n" * 200 + b"\r\n",
    ],
    ids=["no host", "spaces", "two hosts", "two lengths", "header name", "chunks", "length", "many fields"],
)
async def test_malformed_requests(site: Any, request_head: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A request that is none is answered with a 4xx and its connection closed, while an echo client goes on."""
    async with site() as here, here.websocket() as other:
        async with await here.open() as stream:
            await stream.send_all(request_head)
            answer = await receive_all(stream)
        assert answer.startswith(b"HTTP/1.1 4"), answer
        await other.send("still here")
        assert await other.receive() == "still here"
        assert (await here.get("/")).status == 200


async def test_clients_that_break_off(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A client that is gone in the middle of its request, or of its answer, is nobody's error."""
    async with site() as here, here.websocket() as other:
        for data in (
            b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc",
            b"GET /files/page.html HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100,
        ):
            stream = await here.open()
            await stream.send_all(data)
            reset(stream if isinstance(stream, trio.SocketStream) else stream.transport_stream)
        await other.send("still here")
        assert await other.receive() == "still here"
        assert (await here.get("/")).status == 200
    assert not errors_in(caplog)


async def test_idle_connection_is_closed(site: Any) -> None:
    """A connection that is kept and not used is closed after hypercorn's keep_alive_timeout."""
    async with site(keep_alive_timeout=0.1) as here, await here.open() as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await receive_response(stream)
        assert await receive_all(stream) == b""


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
CHUNKS = b"POST /post HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize("first", [GET, POST, CHUNKS, GET + POST + CHUNKS], ids=["get", "post", "chunks", "three"])
@pytest.mark.parametrize("in_one_piece", [False, True], ids=["later", "at once"])
async def test_websocket_on_a_kept_connection(site: Any, first: bytes, in_one_piece: bool) -> None:
    """An upgrade that follows requests on one connection is served by our own server, with its limits and codes."""
    async with site(limits=Limits(message=1000)) as here, await here.open() as stream:
        behind = UPGRADE + frame(b"early", opcode=1)
        await stream.send_all(first + behind if in_one_piece else first)
        answers = await receive_until(stream, b"\x81\x05early" if in_one_piece else b"")
        if not in_one_piece:
            while answers.count(b"HTTP/1.1 200 ") < first.count(b"HTTP/1.1") or not answers.endswith((b"page", b"es")):
                answers += await stream.receive_some()
            await stream.send_all(behind)
            answers += await receive_until(stream, b"\x81\x05early")
        assert answers.count(b"HTTP/1.1 200 ") == first.count(b"HTTP/1.1")
        assert answers.count(b"HTTP/1.1 101 ") == 1
        assert b"hypercorn" not in answers.partition(b" 101 ")[2]
        await stream.send_all(frame(b"hello", opcode=1))
        assert await receive_until(stream, b"hello") == b"\x81\x05hello"
        await stream.send_all(frame(b"x" * 1001))
        assert (await receive_all(stream))[2:4] == b"\x03\xf1"  # 1009


async def test_refused_upgrade_on_a_kept_connection(site: Any) -> None:
    """What cannot be served is refused on a kept connection as on a new one."""
    async with site() as here:
        for request, status in (
            (UPGRADE.replace(b"Version: 13", b"Version: 8"), b"426"),
            (UPGRADE.replace(b"GET", b"POST"), b"405"),
            (b"GET / HTTP/1.1\nHost: localhost\n\n", b"400"),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000, b"431"),
            (b"\x16\x03\x01", b"400"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        ):
            async with await here.open() as stream:
                await stream.send_all(GET)
                await receive_until(stream, b"a front page")
                await stream.send_all(request)
                assert (await receive_all(stream)).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(
    ("request_", "end"), [(UPGRADE, END), (b"\x01", b"This is no HTTP request.\n")], ids=["upgrade", "noise"]
)
async def test_what_runs_behind_an_answer(site: Any, task: Task, request_: bytes, end: bytes) -> None:
    """What a client does on a kept connection does not cancel a background task of its request before."""
    async with site() as here, await here.open() as stream:
        await stream.send_all(GET.replace(b"GET /", b"GET /work"))
        await receive_until(stream, b"begun")
        await stream.send_all(request_)
        await receive_until(stream, end)
        task.go_on.set()
        await task.done.wait()


async def test_upgrade_that_comes_byte_by_byte_on_a_kept_connection(site: Any) -> None:
    """It is an upgrade."""
    async with site() as here, await here.open() as stream:
        await stream.send_all(GET)
        await receive_until(stream, b"a front page")
        for byte in UPGRADE:
            await stream.send_all(bytes([byte]))
            await trio.lowlevel.checkpoint()
        assert (await receive_until(stream, END)).startswith(b"HTTP/1.1 101 ")


async def test_h21_upgrade_to_http2(site: Any) -> None:
    """A client that would like to go on in HTTP/2 is answered in HTTP/1.1, as if it had not asked."""
    request = (
        GET[:-2] + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\n\r\n"
    )
    async with site() as here, await here.open() as stream:
        for _ in range(2):
            await stream.send_all(request)
            answer = await receive_until(stream, b"a front page")
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"h2c" not in answer


async def test_h22_request_to_a_proxy(site: Any) -> None:
    """We are none."""
    async with site() as here, await here.open() as stream:
        await stream.send_all(b"CONNECT victim.com:443 HTTP/1.1\r\nHost: victim.com:443\r\n\r\n")
        assert (await receive_all(stream)).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 405 "))


async def test_a_client_that_leaves_a_kept_connection(site: Any) -> None:
    """Its connection is closed at once, and not after the time that it might have been idle."""
    async with site(keep_alive_timeout=60) as here:
        async with await here.open() as stream:
            await stream.send_all(GET)
            await receive_until(stream, b"a front page")
            with trio.fail_after(5):
                await end_sending(stream)
                assert await receive_all(stream) == b""


class Endless:
    """A body without an end. A generator would be left for the garbage collector when it is cancelled."""

    def __aiter__(self) -> "Endless":
        return self

    async def __anext__(self) -> bytes:
        return b"x" * 1_000_000


async def test_a_client_that_takes_no_answer(site: Any, app: App, caplog: pytest.LogCaptureFixture) -> None:
    """It is cut off after the write deadline, and a body without an end has one."""
    caplog.set_level(logging.INFO, "wsframework")

    @app.route("/endless")
    async def endless(request: Request) -> StreamingResponse:
        return StreamingResponse(Endless())

    async with site(limits=Limits(write_timeout=0.3)) as here, await here.open() as stream:
        await stream.send_all(GET.replace(b"/ ", b"/endless ", 1))
        while "/endless" not in caplog.text:  # noqa: ASYNC110 - there is no event to wait for
            await trio.sleep(0.01)
        async with here.websocket() as other:
            await other.send("still here")
            assert await other.receive() == "still here"
    assert not errors_in(caplog)


async def test_bytes_behind_the_upgrade(site: Any) -> None:
    """Messages that come in one piece with their handshake are messages."""
    async with site() as here, await here.open() as stream:
        await stream.send_all(UPGRADE + frame(b"early", opcode=1) + frame(b"bird", opcode=1))
        answer = await receive_until(stream, b"\x81\x04bird")
        assert answer.endswith(END + b"\x81\x05early\x81\x04bird")


# HTTP/2


class HTTP2:
    """A client that speaks HTTP/2 over a stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self._state.initiate_connection()

    async def request(self, scheme: str, *paths: str) -> dict[str, tuple[str, bytes]]:
        """Ask for all of these at once; return status and body of each."""
        pending: dict[int, str] = {}
        answers: dict[str, tuple[str, bytes]] = {}
        for path in paths:
            number = self._state.get_next_available_stream_id()
            pending[number] = path
            answers[path] = ("", b"")
            fields = [(":method", "GET"), (":authority", "localhost"), (":scheme", scheme), (":path", path)]
            self._state.send_headers(number, fields, end_stream=True)
        while pending:
            await self._stream.send_all(self._state.data_to_send())
            for event in self._state.receive_data(await self._stream.receive_some()):
                if isinstance(event, h2.events.ResponseReceived):
                    path = pending[event.stream_id]
                    answers[path] = (dict(event.headers)[":status"], b"")
                elif isinstance(event, h2.events.DataReceived):
                    path = pending[event.stream_id]
                    answers[path] = (answers[path][0], answers[path][1] + event.data)
                elif isinstance(event, h2.events.StreamEnded):
                    del pending[event.stream_id]
                assert not isinstance(event, h2.events.ConnectionTerminated)
        return answers


async def test_http2_over_tls(app: App, authority: trustme.CA, tmp_path: Path) -> None:
    """A client that offers h2 gets it, several requests at once, beside a WebSocket over HTTP/1.1."""
    async with serving("tls", app, authority, tmp_path) as here, here.websocket() as other:
        async with await open_stream(here.url, client_context(authority, "h2", "http/1.1")) as stream:
            assert isinstance(stream, trio.SSLStream)
            assert stream.selected_alpn_protocol() == "h2"
            answers = await HTTP2(stream).request("https", "/", "/files/page.html", "/elsewhere", "/state")
        assert answers == {
            "/": ("200", b"a front page"),
            "/files/page.html": ("200", b"<p>a page</p>"),
            "/elsewhere": ("404", b"Not Found"),
            "/state": ("200", b'{"state":"state","scheme":"https","host":"127.0.0.1"}'),
        }
        await other.send("still here")
        assert await other.receive() == "still here"


async def test_http2_with_prior_knowledge(app: App, authority: trustme.CA, tmp_path: Path) -> None:
    """A client that knows that we speak HTTP/2 can do so without TLS, and may send its first bytes one by one."""
    async with serving("reactor", app, authority, tmp_path) as here, await here.open() as stream:
        assert (await HTTP2(stream).request("http", "/"))["/"] == ("200", b"a front page")
    async with serving("reactor", app, authority, tmp_path) as here, await here.open() as stream:
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
            await stream.send_all(bytes([byte]))
        await stream.send_all(bytes(3) + b"\x04" + bytes(5))  # an empty frame of settings
        assert (await stream.receive_some())[3] == 4  # and here are theirs


async def test_http2_that_is_none(
    app: App, authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Noise where HTTP/2 was agreed on ends that connection and no other."""
    async with serving("tls", app, authority, tmp_path) as here, here.websocket() as other:
        async with await open_stream(here.url, client_context(authority, "h2")) as stream:
            await stream.send_all(b"\0" * 1000)
            await receive_all(stream)
        await other.send("still here")
        assert await other.receive() == "still here"


# What belongs to both sides


async def test_limit_of_the_request_head(site: Any) -> None:
    """A request head beyond the limit is refused before hypercorn sees it, for a page as for a WebSocket."""
    async with site(limits=Limits(request_head=1000)) as here:
        for head in (b"GET / HTTP/1.1\r\nHost: localhost\r\n", UPGRADE[:-2]):
            async with await here.open() as stream:
                await stream.send_all(head + b"X: " + b"x" * 1000 + END)
                assert (await receive_all(stream)).startswith(b"HTTP/1.1 431 ")
