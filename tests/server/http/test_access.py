"""The line in the access log of a request that the server answers by itself, over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import pytest
import trio
from starlette.requests import ClientDisconnect, Request
from trio.testing import MockClock

from tests.server.http.http2.serving import serving
from tests.server.lines import Lines
from tests.server.site import running
from wsframework import App, Limits

LIMITS = Limits(body_timeout=20)
POST = b"POST /size HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
FIELDS = [(":authority", "localhost"), (":scheme", "https"), (":path", "/size?token=secret")]
LATE = (408, "The body of the request did not arrive in time.")
IN_CRUMBS = (400, "The body comes in too many chunks that are too small.")


@pytest.fixture(params=["notices", "is blind"])
def app(request: pytest.FixtureRequest) -> App:
    """An application that is told when no more of a body comes, and leaves it at that, or answers all the same."""
    app = App()

    @app.route("/size", methods=["POST"])
    async def size(http: Request) -> str:
        try:
            return str(len(await http.body()))
        except ClientDisconnect:
            if request.param == "notices":
                raise
        return "whatever"

    return app


async def exchange(app: App, *pieces: bytes) -> bytes:
    """Send this to a server of HTTP/1.1, piece by piece, and return all that it answers."""
    async with running(app, LIMITS) as site:
        for piece in pieces:
            await site.theirs.send_all(piece)
            await trio.sleep(1)
        answer = b""
        while data := await site.theirs.receive_some():
            answer += data
    return answer


async def test_a_body_that_stops(app: App, autojump_clock: MockClock, lines: Lines) -> None:
    """It has the status that the client got, and nothing of what it did not get."""
    assert (await exchange(app, POST + b"abc")).startswith(b"HTTP/1.1 408 ")
    [record] = lines.access
    assert (record.status, record.close_reason) == LATE
    assert (record.method, record.path, record.bytes_in, record.bytes_out) == ("POST", "/size", 3, 0)


async def test_a_body_that_stops_behind_another_request(app: App, autojump_clock: MockClock, lines: Lines) -> None:
    """The request before has its own line."""
    await exchange(app, POST + b"0123456789" + POST)
    assert [(record.status, record.bytes_in, record.bytes_out) for record in lines.access] == [
        (200, 10, 2),
        (408, 0, 0),
    ]


@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_body_in_crumbs(app: App, pieces: int, autojump_clock: MockClock, lines: Lines) -> None:
    """It has one line, whether an application has got the request or not."""
    crumbs = b"1\r\nx\r\n" * 12_000
    head = b"POST /size HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await exchange(app, *([head + crumbs] if pieces == 1 else [head, crumbs]))
    assert answer.startswith(b"HTTP/1.1 400 ")
    [record] = lines.access
    assert (record.status, record.close_reason) == IN_CRUMBS
    assert record.path == (None if pieces == 1 else "/size")


async def test_a_body_that_stops_over_http2(app: App, autojump_clock: MockClock, lines: Lines) -> None:
    """The same."""
    async with serving(app, LIMITS) as client:
        stream = await client.request([(":method", "POST"), *FIELDS], end=False)
        await stream.send(b"abc")
        assert await stream.receive_status() == "408"
        await trio.sleep(1)
        [record] = lines.access
    assert (record.status, record.close_reason) == LATE
    assert (record.method, record.path, record.bytes_in, record.bytes_out) == ("POST", "/size", 3, 0)


async def test_what_is_refused_over_http2(lines: Lines) -> None:
    """Each has a line with what it asked for, and why it did not get it."""
    async with serving(App()) as client:
        await (await client.websocket("/?token=secret", protocol="connect-udp")).receive_status()
        await (
            await client.websocket("/", ("sec-websocket-key", "x"), ("sec-websocket-protocol", ";"))
        ).receive_status()
        await (await client.request([(":method", "CONNECT"), (":authority", "a.example:443")])).receive_status()
    assert lines.text == [
        '192.0.2.7:5000 "CONNECT /" 501 "The only protocol that can be asked for is websocket."',
        '192.0.2.7:5000 "CONNECT /" 400 "The Sec-WebSocket-Protocol header cannot be read."',
        '192.0.2.7:5000 "-" 405 "This server is no proxy."',
    ]
    assert [(record.type, record.http_version) for record in lines.access] == [
        ("http", "2"),
        ("websocket", "2"),
        ("http", "2"),
    ]


async def test_no_application_sees_how_it_is_done(lines: Lines) -> None:
    """The scope is the one of ASGI."""
    scopes: list[dict[str, object]] = []

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        scopes.append(scope)

    await exchange(app, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")  # type: ignore[arg-type]
    async with serving(app) as client:
        await client.get("/")
    assert [key for scope in scopes for key in scope if key.startswith("wsframework")] == []
    assert len(scopes) == 2
