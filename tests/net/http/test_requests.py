"""The contract with hypercorn's inner classes, which serve all that is no WebSocket: see `wsframework.server.http`.

When this or one of its neighbours fails after an upgrade of hypercorn, that folder has to follow.
"""

import logging
from typing import Any

import pytest
import trio
from starlette.requests import Request
from starlette.responses import StreamingResponse

from tests.net.http.site import END, GET, receive_response
from tests.net.observing import errors_in
from tests.net.servers import (
    UPGRADE,
    receive_all,
    reset,
)
from wsframework import App, Limits


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


async def test_h22_request_to_a_proxy(site: Any) -> None:
    """We are none."""
    async with site() as here, await here.open() as stream:
        await stream.send_all(b"CONNECT victim.com:443 HTTP/1.1\r\nHost: victim.com:443\r\n\r\n")
        assert (await receive_all(stream)).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 405 "))


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


async def test_limit_of_the_request_head(site: Any) -> None:
    """A request head beyond the limit is refused before hypercorn sees it, for a page as for a WebSocket."""
    async with site(limits=Limits(request_head=1000)) as here:
        for head in (b"GET / HTTP/1.1\r\nHost: localhost\r\n", UPGRADE[:-2]):
            async with await here.open() as stream:
                await stream.send_all(head + b"X: " + b"x" * 1000 + END)
                assert (await receive_all(stream)).startswith(b"HTTP/1.1 431 ")
