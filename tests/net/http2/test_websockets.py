"""WebSockets over HTTP/2 (RFC 8441): see `wsframework.server.http.http2`."""

from typing import Any

import h2.errors
import pytest
import trio

from tests.net.http2.site import Watched
from tests.net.observing import errors_in, wait_until
from tests.net.servers import (
    frame,
)
from wsframework import App, CloseCode, Limits

KIB = 1024


CLOSE_1000 = b"\x03\xe8"


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
