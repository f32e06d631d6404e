"""What goes wrong on our side, and clients that come in numbers or mean no good."""

import errno
import gc
import math
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from tests.net.echo import Watched, check_echo, connect
from tests.net.observing import descriptors, errors_in, wait_until
from tests.net.servers import (
    UPGRADE,
    ServedOverSockets,
    address_of,
    client_context,
    frame,
    open_stream,
    receive_all,
    receive_until,
    reset,
    run_server,
    upgrade,
    write_certificate,
)
from wsframework import App, CloseCode, Limits, WebSocket, WebSocketEndpoint
from wsframework.limits import KIB

# What goes wrong on our side


async def test_no_room_for_another_connection(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the system has no descriptor left, the server says so, waits a moment and accepts again."""
    errors = [OSError(errno.EMFILE, "Too many open files"), ConnectionAbortedError(errno.ECONNABORTED, "gone")]
    accept = socket.socket.accept

    def accept_or_fail(listener: socket.socket) -> Any:
        if errors:
            raise errors.pop(0)
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", accept_or_fail)
    async with run_server(app) as server, connect(server) as client:
        await check_echo(client)
    assert [record.getMessage() for record in errors_in(caplog)] == [
        "cannot accept connections: Too many open files. Trying again every 0.1 s; raise the limit of open files "
        "(ulimit -n), or lower Limits.connections"
    ]


@pytest.mark.parametrize("place", ["head.reader.parse_request", "apprunner.Connection"])
async def test_mistake_of_ours(
    wire: str, app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """An error inside the server ends the one connection that it happened to, and is logged."""
    async with run_server(app) as server, connect(server) as other:
        await check_echo(other)
        with monkeypatch.context() as patch:

            def fail(*args: Any, **kwargs: Any) -> Any:
                raise LookupError("where is my towel")

            patch.setattr(f"wsframework.server.{place}", fail)
            async with await open_stream(server.url) as stream:
                await stream.send_all(UPGRADE)
                assert await receive_all(stream) == b""
        await check_echo(other)
        async with connect(server) as another:
            await check_echo(another)
    assert len(errors_in(caplog)) == 1
    assert "where is my towel" in caplog.text
    gc.collect()


# Clients that come in numbers, or mean no good


async def test_three_hundred_at_once(wire: str, app: App, endpoint: type[Watched]) -> None:
    """Many clients that come at the same moment are all served, and all of their ends are seen."""
    async with run_server(app) as server:
        async with trio.open_nursery() as nursery:

            async def visit(number: int) -> None:
                async with await open_stream(server.url) as stream:
                    await upgrade(stream)
                    await stream.send_all(frame(b"%d" % number))
                    await receive_until(stream, b"%d" % number)
                    await stream.send_all(frame(b"\x03\xe8", opcode=8))
                    assert await receive_all(stream) == b"\x88\x02\x03\xe8"

            for number in range(300):
                nursery.start_soon(visit, number)
        await wait_until(lambda: len(endpoint.gone) == 300)
    assert endpoint.gone == [(CloseCode.NORMAL_CLOSURE, "")] * 300


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count descriptors")
async def test_storm_of_resets(wire: str, app: App, endpoint: type[Watched], caplog: pytest.LogCaptureFixture) -> None:
    """Two hundred clients that are reset at once, some of them in the middle of a message, leave nothing behind."""
    async with run_server(app) as server, connect(server) as other:
        await check_echo(other)
        before = descriptors()
        streams = []
        for number in range(200):
            stream = await open_stream(server.url)
            await upgrade(stream)
            await stream.send_all(frame(b"x" * 1000)[: 1 + number * 5])
            streams.append(stream)
        await wait_until(lambda: endpoint.came == 201)
        for stream in streams:
            reset(stream)
        await check_echo(other)
        await wait_until(lambda: len(endpoint.gone) == 200 and descriptors() == before)
        await check_echo(other)
    assert {code for code, _ in endpoint.gone[:200]} == {CloseCode.ABNORMAL_CLOSURE}
    assert not errors_in(caplog)


async def test_slow_request_head(wire: str, app: App, tmp_path: Path) -> None:
    """A request head that does not arrive in time is answered with 408; who says nothing at all is just closed."""
    authority = trustme.CA()
    certificate, key = write_certificate(authority, tmp_path)
    options = {"certfile": certificate, "keyfile": key, "insecure_bind": ["127.0.0.1:0"]}
    limits = Limits(handshake_timeout=0.5)  # in which a busy machine still does the handshake of TLS
    answers: dict[str, bytes] = {}
    async with run_server(app, limits, **options) as server, trio.open_nursery() as nursery:
        secure, plain = server.urls

        async def dribble(name: str, url: str, tls: Any, head: bytes) -> None:
            async with await open_stream(url, tls) as stream, trio.open_nursery() as inner:

                async def send() -> None:
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                        for byte in head:
                            await stream.send_all(bytes([byte]))
                            await trio.sleep(0.02)

                inner.start_soon(send)
                answers[name] = await receive_all(stream)
                inner.cancel_scope.cancel()

        nursery.start_soon(dribble, "plain", plain, None, UPGRADE)
        nursery.start_soon(dribble, "tls", secure, client_context(authority), UPGRADE)
        nursery.start_soon(dribble, "silent", plain, None, b"")
        nursery.start_soon(dribble, "no tls", secure, None, b"")
    assert answers["plain"].startswith(b"HTTP/1.1 408 ")
    assert answers["tls"].startswith(b"HTTP/1.1 408 ")
    assert answers["silent"] == answers["no tls"] == b""


HELLO = bytes.fromhex("160301006a0100006603036a") + bytes(100)  # how a TLS client begins


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (HELLO, b"400"),
        (b"\0\x01\x02\xff" * 1000, b"400"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\nHost: localhost\n\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000, b"431"),
        (UPGRADE.replace(b"Version: 13", b"Version: 8"), b"426"),
        (UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"), b"426"),
        (UPGRADE.replace(b"GET /", b"POST /"), b"405"),
        (UPGRADE.replace(b"Host: localhost\r\n", b""), b"400"),
        (UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short"), b"400"),
        (UPGRADE.replace(b"GET /", b"GET /%ff"), b"400"),
    ],
    ids=[
        "tls hello", "noise", "ssh", "bare line feeds", "endless header", "version 8", "http/1.0", "post", "no host",
        "short key", "path is no utf-8",
    ],
)  # fmt: skip
async def test_what_is_no_handshake(
    wire: str, app: App, caplog: pytest.LogCaptureFixture, data: bytes, status: bytes
) -> None:
    """What cannot be served is answered with a status and closed, while an echo client goes on; no error is logged."""
    async with run_server(app) as server, connect(server) as other:
        async with await open_stream(server.url) as stream:
            await stream.send_all(data)
            answer = await receive_all(stream)
        assert answer.startswith(b"HTTP/1.1 " + status), answer
        assert b"connection: close" in answer.lower()
        await check_echo(other)
    assert not errors_in(caplog)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0" * 100, HELLO])
async def test_no_tls_on_the_tls_port(app: App, tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes) -> None:
    """A client that does not speak TLS where it should is closed; others go on, and no error is logged."""
    authority = trustme.CA()
    certificate, key = write_certificate(authority, tmp_path)
    async with run_server(app, certfile=certificate, keyfile=key) as server:
        async with ServedOverSockets(server.url, client_context(authority)).connect() as other:
            async with await open_stream(server.url) as stream:
                await stream.send_all(data)
                with suppress(trio.BrokenResourceError):
                    await stream.send_eof()
                await receive_all(stream)
            await check_echo(other)
    assert not errors_in(caplog)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest, wire: str) -> bool:
    """Whether the connection is encrypted. A skip in an async test would lose its reason, so it is here."""
    if request.param and wire == "reactor":
        pytest.skip("TLS is always on the portable path")
    return bool(request.param)


async def test_flood_by_a_client_that_never_reads(
    wire: str, app: App, endpoint: type[Watched], tmp_path: Path, tls: bool
) -> None:
    """The server takes only so much from a client that sends and never reads, and cuts it; others do not notice."""
    authority = trustme.CA()
    certificate, key = write_certificate(authority, tmp_path)
    options = {"certfile": certificate, "keyfile": key} if tls else {}
    context = client_context(authority) if tls else None
    flood, message = 64 * 1024 * 1024, frame(b"x" * 65536)
    sent = 0
    async with run_server(app, Limits(write_timeout=0.3), **options) as server:
        async with ServedOverSockets(server.url, context).connect() as other:
            async with await open_stream(server.url, context) as stream:
                await upgrade(stream)
                with suppress(trio.BrokenResourceError):
                    while sent < flood:
                        await stream.send_all(message)
                        sent += len(message)
                        if sent % (16 * len(message)) == 0:
                            await check_echo(other)
            await wait_until(lambda: endpoint.gone)
            await check_echo(other)
            assert endpoint.gone[0][0] == CloseCode.ABNORMAL_CLOSURE
            assert "took too little" in endpoint.gone[0][1]
    # What the kernel keeps in four socket buffers, and a megabyte or two of ours.
    assert sent < flood / 2


async def test_a_client_that_reads_nothing_is_soon_behind(wire: str) -> None:
    """A socket takes little more than what is on its way, so what is published later may take an older one's place."""
    app = App()

    @app.websocket("/")
    class Reader(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "prices")

    # Longer than any wait that a limit may have for the system, too.
    async with run_server(app, Limits(write_timeout=math.inf)) as server:
        client = trio.socket.socket()
        client.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 16 * KIB)
        await client.connect(address_of(server.url))
        async with trio.SocketStream(client) as stream:
            await upgrade(stream)
            await wait_until(lambda: app.hub.statistics().subscriptions)
            taken = 0
            while not app.hub.statistics().behind:
                await app.hub.broadcast("prices", "x" * KIB)
                await trio.lowlevel.checkpoint()
                taken += KIB
            # Without the option, Linux takes 2.5 MiB. The client's own window is as large as the kernel likes.
            assert taken < 256 * KIB


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
async def test_descriptors_return(wire: str, app: App, endpoint: type[Watched], tmp_path: Path) -> None:
    """However clients come and go, a server that runs has given all of their descriptors back."""
    authority = trustme.CA()
    certificate, key = write_certificate(authority, tmp_path)
    context = client_context(authority)
    options = {"certfile": certificate, "keyfile": key, "insecure_bind": ["127.0.0.1:0"]}
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with run_server(app, **options) as server:
        secure, plain = server.urls
        before = descriptors()
        for url, tls in ((plain, None), (secure, context)):
            for data in (
                b"",
                b"\0",
                request,
                UPGRADE,
                UPGRADE + frame(b"hello"),
                UPGRADE.replace(b"GET /", b"GET /no"),
            ):
                for leave in (reset, trio.aclose_forcefully):
                    stream = await open_stream(url, tls)
                    await stream.send_all(data)
                    if data:
                        await stream.receive_some()
                    if leave is reset:
                        reset(stream if isinstance(stream, trio.SocketStream) else stream.transport_stream)
                    else:
                        await trio.aclose_forcefully(stream)
            async with ServedOverSockets(url, tls).connect() as client:
                await check_echo(client)
        await wait_until(lambda: descriptors() == before)
    assert endpoint.came == len(endpoint.gone)
