"""What comes behind a request on the same connection, an upgrade to WebSocket above all."""

from typing import Any

import h11
import pytest
import trio

from tests.net.http.site import END, GET, Task, receive_response
from tests.net.servers import (
    UPGRADE,
    frame,
    receive_all,
    receive_until,
)
from wsframework import Limits
from wsframework.server.streams import end_sending


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


async def test_idle_connection_is_closed(site: Any) -> None:
    """A connection that is kept and not used is closed after hypercorn's keep_alive_timeout."""
    async with site(keep_alive_timeout=0.1) as here, await here.open() as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await receive_response(stream)
        assert await receive_all(stream) == b""


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


async def test_a_client_that_leaves_a_kept_connection(site: Any) -> None:
    """Its connection is closed at once, and not after the time that it might have been idle."""
    async with site(keep_alive_timeout=60) as here:
        async with await here.open() as stream:
            await stream.send_all(GET)
            await receive_until(stream, b"a front page")
            with trio.fail_after(5):
                await end_sending(stream)
                assert await receive_all(stream) == b""


async def test_bytes_behind_the_upgrade(site: Any) -> None:
    """Messages that come in one piece with their handshake are messages."""
    async with site() as here, await here.open() as stream:
        await stream.send_all(UPGRADE + frame(b"early", opcode=1) + frame(b"bird", opcode=1))
        answer = await receive_until(stream, b"\x81\x04bird")
        assert answer.endswith(END + b"\x81\x05early\x81\x04bird")
