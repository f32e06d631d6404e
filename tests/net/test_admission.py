"""More clients than there is room for, over real sockets."""

import socket
from collections import Counter
from typing import Any

import pytest
import trio

from tests.net.echo import ECHO
from tests.net.observing import wait_until
from tests.net.servers import (
    UPGRADE,
    ServedOverSockets,
    address_of,
    open_stream,
    receive_all,
    receive_until,
    run_server,
    write_certificate,
)
from wsframework import App, Limits, WebSocket, WebSocketEndpoint, WebSocketRoute
from wsframework.server import reactor

on_both_paths = pytest.mark.usefixtures("wire")


@on_both_paths
@pytest.mark.parametrize("limits", [Limits(connections=2), Limits(connections_per_address=2)], ids=["all", "address"])
async def test_f26_one_too_many(limits: Limits) -> None:
    """It is told to come back later, whether it asks or not; those inside do not notice; then there is room again."""
    async with run_server(ECHO, limits) as server, ServedOverSockets(server.url).connect() as inside:
        async with await open_stream(server.url) as idle:
            async with await open_stream(server.url) as stream:
                answer = await receive_all(stream)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 5\r\n" in answer
            async with await open_stream(server.url) as stream:
                await stream.send_all(UPGRADE)
                assert (await receive_all(stream)).startswith(b"HTTP/1.1 503 ")
            await inside.send("still here")
            assert await inside.receive() == "still here"
            assert server.itself.statistics().refused == {503: 2}
            await idle.send_all(UPGRADE)
            await receive_until(idle, b"\r\n\r\n")
        await wait_until(lambda: server.itself.statistics().open == 1)
        async with ServedOverSockets(server.url).connect() as another:
            await another.send("my turn")
            assert await another.receive() == "my turn"


@on_both_paths
async def test_x12_a_crowd_that_does_not_go_away(caplog: pytest.LogCaptureFixture) -> None:
    """Those who find no room and do not leave are let go, some of them unanswered, and cost nothing that lasts."""
    async with run_server(ECHO, Limits(connections=1)) as server, ServedOverSockets(server.url).connect() as inside:
        streams = [await open_stream(server.url) for _ in range(100)]
        answers: Counter[bytes] = Counter()
        for stream in streams:
            try:
                answers[(await receive_all(stream))[:12]] += 1
            except trio.BrokenResourceError:
                answers[b""] += 1
            await stream.aclose()
        assert answers[b"HTTP/1.1 503"] >= 30
        assert sum(answers.values()) == 100
        await inside.send("still here")
        assert await inside.receive() == "still here"
        assert server.itself.statistics().refused == {503: 100}
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


@on_both_paths
async def test_a_secure_connection_too_many(tmp_path: Any) -> None:
    """Under TLS there is nothing that could be said before the handshake: it is closed."""
    import trustme

    certificate, key = write_certificate(trustme.CA(), tmp_path)
    async with run_server(ECHO, Limits(connections=1), certfile=certificate, keyfile=key) as server:
        async with await trio.open_tcp_stream(*address_of(server.url)):
            await wait_until(lambda: server.itself.statistics().open == 1)
            async with await trio.open_tcp_stream(*address_of(server.url)) as stream:
                assert await receive_all(stream) == b""
    assert server.itself.statistics().refused == {503: 1}


@on_both_paths
async def test_statistics_of_a_few() -> None:
    """Every connection moves one number when it ends."""
    async with run_server(ECHO) as server:
        statistics = server.itself.statistics
        async with ServedOverSockets(server.url).connect():
            assert (statistics().open, statistics().websockets) == (1, 1)
        await wait_until(lambda: statistics().open == 0)
        for sent in (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"\x00", b"GET /"):
            async with await open_stream(server.url) as stream:
                await stream.send_all(sent)
                if sent != b"GET /":
                    await receive_all(stream)
            await wait_until(lambda: statistics().open == 0)
        counted = statistics()
    assert (counted.accepted, counted.http, counted.lost) == (4, 1, 1)
    assert (counted.refused, counted.closed) == ({400: 1}, {1000: 1})


@pytest.mark.skipif(not reactor.AVAILABLE, reason="only a wire of the reactor shows its socket")
async def test_options_that_every_connection_has() -> None:
    """They are set on the listener, and the system hands them down."""
    found = []

    class Look(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            for name in ("TCP_NODELAY", "TCP_USER_TIMEOUT"):
                wire = websocket.transport._wire  # type: ignore[attr-defined]
                found.append(wire._socket.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)))
            await websocket.accept()

    async with run_server(App(routes=[WebSocketRoute("/", Look)])) as server:
        async with ServedOverSockets(server.url).connect():
            pass
    assert found == [1, 40_000]
