"""Our server as a whole: its start, its stop, and what it does with clients that mean it no good."""

import errno
import gc
import logging
import math
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from tests.net.servers import (
    UPGRADE,
    RunningServer,
    ServedOverSockets,
    Stream,
    address_of,
    client_context,
    frame,
    make_config,
    open_stream,
    receive_all,
    receive_until,
    reset,
    run_server,
    upgrade,
    write_certificate,
)
from wsframework import App, CloseCode, Limits, StartupError, WebSocket, WebSocketEndpoint, WebSocketRoute, serve
from wsframework.limits import KIB
from wsframework.server import reactor
from wsframework.testing import Client


@pytest.fixture(params=["reactor", "portable"])
def wire(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test on both ways to handle plain connections: one task for all, and a task for each."""
    if request.param == "reactor" and not reactor.AVAILABLE:
        pytest.skip("there is no epoll on this system")
    monkeypatch.setattr(reactor, "AVAILABLE", request.param == "reactor")
    return str(request.param)


class Watched(WebSocketEndpoint):
    """Echoes, and notes who came and how they went."""

    came = 0
    gone: list[tuple[int, str]]

    async def on_connect(self, websocket: WebSocket) -> None:
        type(self).came += 1
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        self.gone.append((close_code, websocket.close_reason))


@pytest.fixture
def endpoint() -> type[Watched]:
    class Fresh(Watched):
        gone = []  # noqa: RUF012 - a class for each test

    return Fresh


@pytest.fixture
def app(endpoint: type[Watched]) -> App:
    return App(routes=[WebSocketRoute("/", endpoint)])


def errors_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


async def wait_until(condition: Any) -> None:
    """Wait for something that nobody announces; the test's own deadline bounds it."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await trio.sleep(0.005)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def check_echo(client: Client, text: str = "are you there?") -> None:
    await client.send(text)
    assert await client.receive() == text


def connect(server: RunningServer) -> Any:
    return ServedOverSockets(server.url).connect()


# The start


async def test_urls_of_every_bind(app: App, tmp_path: Path) -> None:
    """serve starts with a URL for each bind, in order, and every one of them is served."""
    path = tmp_path / "socket"
    binds = ["127.0.0.1:0", f"unix:{path}", "127.0.0.1:0"]
    async with run_server(app, bind=binds) as server:
        assert server.urls[1] == f"unix:{path}"
        ports = [address_of(url)[1] for url in server.urls if url.startswith("http://127.0.0.1:")]
        assert len(set(ports)) == 2
        for url in server.urls:
            async with ServedOverSockets(url).connect() as client:
                await check_echo(client)
    assert not path.exists()


async def test_plain_beside_tls(app: App, tmp_path: Path) -> None:
    """insecure_bind serves without TLS beside the certificate, and the URLs tell which is which."""
    authority = trustme.CA()
    certificate, key = write_certificate(authority, tmp_path)
    async with run_server(app, certfile=certificate, keyfile=key, insecure_bind=["127.0.0.1:0"]) as server:
        secure, plain = server.urls
        assert secure.startswith("https://127.0.0.1:")
        assert plain.startswith("http://127.0.0.1:")
        async with ServedOverSockets(secure, client_context(authority)).connect() as client:
            await check_echo(client)
        async with ServedOverSockets(plain).connect() as client:
            await check_echo(client)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
async def test_unix_socket(app: App, tmp_path: Path) -> None:
    """A socket that a killed server left is replaced, a file is not; the umask of the configuration holds."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with run_server(app, bind=[f"unix:{path}"], umask=0o077, user=os.getuid(), group=os.getgid()) as server:
        assert os.stat(path).st_mode & 0o777 == 0o700
        async with connect(server) as client:
            await check_echo(client)
    await trio.Path(path).write_text("precious")
    with trio.fail_after(5), pytest.raises(StartupError, match="in use"):
        await serve(app, make_config(bind=[f"unix:{path}"]))
    assert await trio.Path(path).read_text() == "precious"


async def test_descriptor_that_was_handed_over(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """fd:// serves a socket that somebody else has opened; a datagram socket is refused and left alone."""
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        async with run_server(app, bind=[f"fd://{given.detach()}"]) as server:
            assert server.url == f"http://127.0.0.1:{port}"
            async with connect(server) as client:
                await check_echo(client)
    with socket.socket(type=socket.SOCK_DGRAM) as datagram:
        with trio.fail_after(5), pytest.raises(StartupError, match="no stream socket"):
            await serve(app, make_config(bind=[f"fd://{datagram.fileno()}"]))
        assert datagram.getsockname() == ("0.0.0.0", 0)


async def test_quic_is_not_served(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """A quic_bind is ignored with a warning."""
    async with run_server(app, quic_bind=["127.0.0.1:0"]) as server:
        assert len(server.urls) == 1
    assert "quic_bind is ignored" in caplog.text


async def test_names_of_the_server(wire: str, app: App, endpoint: type[Watched]) -> None:
    """With ``server_names`` a WebSocket has to ask for one of them, as HTTP has to: pages of no other name get in."""
    async with run_server(app, server_names=["localhost"]) as server:
        for request in (UPGRADE, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):
            async with await open_stream(server.url) as stream:
                await stream.send_all(request.replace(b"Host: localhost", b"Host: evil.example"))
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 404 ")
        assert endpoint.came == 0
        async with await open_stream(server.url) as stream:
            await upgrade(stream)
        assert server.itself.statistics().refused == {404: 1}


async def test_ipv6(app: App) -> None:
    """An IPv6 address stands in brackets in its URL."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with run_server(app, bind=["[::1]:0"]) as server:
        assert server.url.startswith("http://[::1]:")
        async with connect(server) as client:
            await check_echo(client)


async def test_lifespan_surrounds_everything(endpoint: type[Watched]) -> None:
    """Startup comes before the first connection, shutdown after the last on_disconnect, also when cancelled."""
    order: list[str] = []

    class Noted(endpoint):  # type: ignore[misc, valid-type] # a class made by a fixture
        async def on_connect(self, websocket: WebSocket) -> None:
            order.append(f"connect with {websocket.state.word}")
            await websocket.accept()

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            await trio.sleep(0.01)
            order.append(f"disconnect {close_code}")

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[dict[str, str]]:
        order.append("startup")
        yield {"word": "state"}
        await trio.sleep(0.01)
        order.append("shutdown")

    app = App(routes=[WebSocketRoute("/", Noted)], lifespan=lifespan)
    async with run_server(app) as server, connect(server) as client:
        await check_echo(client)
        server.stop()
        await client.wait_closed()
    assert order == ["startup", "connect with state", "disconnect 1001", "shutdown"]


async def test_application_without_lifespan(caplog: pytest.LogCaptureFixture) -> None:
    """An ASGI application that knows no lifespan is served as it is."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            raise LookupError(f"I know no {scope['type']}")
        await receive()
        await send({"type": "websocket.accept"})
        event = await receive()
        await send({"type": "websocket.send", "text": event["text"]})

    async with run_server(app) as server, connect(server) as client:
        await check_echo(client)
        assert (await client.wait_closed()).code == CloseCode.NORMAL_CLOSURE
    assert not errors_in(caplog)


async def test_lifespan_that_cannot_start(app: App) -> None:
    """A startup that raises, or takes too long, is a StartupError, and the port is free again."""

    @asynccontextmanager
    async def broken(app: App) -> AsyncIterator[None]:
        raise LookupError("no such database")
        yield

    @asynccontextmanager
    async def slow(app: App) -> AsyncIterator[None]:
        await trio.sleep_forever()
        yield

    for lifespan, message in ((broken, "no such database"), (slow, "took longer than 0.05 s")):
        with trio.fail_after(5), pytest.raises(StartupError, match=message):
            await serve(App(lifespan=lifespan), make_config(startup_timeout=0.05))


async def test_lifespan_that_cannot_end(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """A shutdown that raises is logged, and the server has stopped all the same."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        yield
        raise LookupError("the lights do not go out")

    async with run_server(App(lifespan=lifespan)):
        pass
    assert "the lights do not go out" in caplog.text


async def test_lifespan_that_never_ends(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """A shutdown that takes longer than hypercorn's shutdown_timeout is cancelled, which is logged."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        yield
        await trio.sleep_forever()

    async with run_server(App(lifespan=lifespan), shutdown_timeout=0.05):
        pass
    assert "shutdown was cancelled after 0.05 s" in caplog.text


async def test_port_that_is_taken(app: App) -> None:
    """An address in use is a StartupError that names it, also when it is the second of two or the same one twice."""
    with socket.create_server(("127.0.0.1", 0)) as taken, trio.fail_after(5):
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for binds in ([address], ["127.0.0.1:0", address]):
            with pytest.raises(StartupError, match=f"{address}.*in use"):
                await serve(app, make_config(bind=binds))
    with trio.fail_after(5), pytest.raises(StartupError, match="in use"):
        await serve(app, make_config(bind=[address, address]))
    gc.collect()


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        ("127.0.0.1:70000", "'70000' is no port"),
        ("127.0.0.1:http", "'http' is no port"),
        ("8000", "write host:port, such as 127.0.0.1:8000"),
        ("::1:8000", "IPv6 address stands in brackets"),
        ("203.0.113.1:0", "no such address"),
        ("no-such-host.invalid:0", "host name is not known"),
        ("unix:/no/such/folder/socket", "No such file"),
        ("fd://nine", "the number of an open descriptor"),
        ("fd://9999", "[Bb]ad file descriptor"),
    ],
)
async def test_bind_that_cannot_work(app: App, bind: str, message: str) -> None:
    """Any other address that cannot be bound is a StartupError with its reason."""
    with trio.fail_after(5), pytest.raises(StartupError, match=message):
        await serve(app, make_config(bind=[bind]))
    gc.collect()


async def test_bad_certificate(tmp_path: Path) -> None:
    """A certificate that cannot be read is a StartupError, before the application has started."""
    started: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        started.append("startup")
        yield

    certificate, key = write_certificate(trustme.CA(), tmp_path)
    await trio.Path(certificate).write_text("this is no certificate")
    for certfile in (certificate, str(tmp_path / "missing.pem")):
        with trio.fail_after(5), pytest.raises(StartupError, match=r"certificate and its key|cannot read"):
            await serve(App(lifespan=lifespan), make_config(certfile=certfile, keyfile=key))
    assert not started
    gc.collect()


# The stop


async def test_stop_says_goodbye(
    wire: str, app: App, endpoint: type[Watched], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is cancelled closes every client with 1001 and runs every on_disconnect."""
    authority = trustme.CA()
    certificate, key = write_certificate(authority, tmp_path)
    options = {"certfile": certificate, "keyfile": key, "insecure_bind": ["127.0.0.1:0"]}
    async with run_server(app, **options) as server, trio.open_nursery() as nursery:
        secure, plain = server.urls
        ends: list[int] = []

        async def stay(url: str, task_status: trio.TaskStatus[None]) -> None:
            async with ServedOverSockets(url, client_context(authority)).connect() as client:
                await check_echo(client)
                task_status.started()
                ends.append((await client.wait_closed()).code)

        async def stay_plain(task_status: trio.TaskStatus[None]) -> None:
            async with ServedOverSockets(plain).connect() as client:
                await check_echo(client)
                task_status.started()
                ends.append((await client.wait_closed()).code)

        for _ in range(3):
            await nursery.start(stay, secure)
            await nursery.start(stay_plain)
        server.stop()
    assert ends == [CloseCode.GOING_AWAY] * 6
    assert endpoint.gone == [(CloseCode.GOING_AWAY, "")] * 6
    assert not errors_in(caplog)


async def test_stop_while_a_hook_is_busy(wire: str, endpoint: type[Watched]) -> None:
    """A hook that runs when the server stops is cancelled; its client gets 1001 like everybody."""
    begun = trio.Event()

    class Busy(endpoint):  # type: ignore[misc, valid-type] # a class made by a fixture
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            begun.set()
            await trio.sleep_forever()

    async with run_server(App(routes=[WebSocketRoute("/", Busy)])) as server, connect(server) as client:
        await client.send("work")
        await begun.wait()
        server.stop()
        assert (await client.wait_closed()).code == CloseCode.GOING_AWAY
    assert endpoint.gone == [(CloseCode.GOING_AWAY, "")]


async def test_application_that_fails_when_it_is_cancelled(wire: str, caplog: pytest.LogCaptureFixture) -> None:
    """An error that an application raises on its way out is logged, and the server stops in peace."""

    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise LookupError("where is my towel")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                await trio.sleep_forever()

    async with run_server(app) as server, connect(server) as client:
        server.stop()
        assert (await client.wait_closed()).code == CloseCode.GOING_AWAY
    assert [record.exc_text for record in errors_in(caplog) if "my towel" in str(record.exc_text)]
    assert len(errors_in(caplog)) == 1


async def test_stop_does_not_wait_for_the_unwilling(wire: str, app: App, endpoint: type[Watched]) -> None:
    """A client that answers no close frame, and ones that have not even said what they want, hold nobody up."""
    async with run_server(app) as server:
        streams = [await open_stream(server.url) for _ in range(3)]
        await upgrade(streams[0])
        await streams[1].send_all(UPGRADE[:20])
        await wait_until(lambda: endpoint.came == 1)
        server.stop()
        with trio.fail_after(3):
            await server.stopped.wait()
        for stream in streams:
            await receive_all(stream)
            await stream.aclose()
    assert endpoint.gone == [(CloseCode.GOING_AWAY, "")]
    gc.collect()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count descriptors")
async def test_stop_closes_every_socket(wire: str, app: App, tmp_path: Path) -> None:
    """Whatever the connections were at when the server stopped, no descriptor is left open."""
    authority = trustme.CA()
    certificate, key = write_certificate(authority, tmp_path)
    before = descriptors()
    options = {"certfile": certificate, "keyfile": key, "insecure_bind": ["127.0.0.1:0"]}
    async with run_server(app, **options) as server:
        secure, plain = server.urls
        context = client_context(authority)
        streams: list[Stream] = []
        for beginning in (b"", b"GET / HT", UPGRADE, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0"):
            for url, tls in ((plain, None), (secure, context)):
                stream = await open_stream(url, tls)
                await stream.send_all(beginning)
                if b"\r\n\r\n" in beginning:
                    await stream.receive_some()
                streams.append(stream)
        streams.append(await open_stream(secure))  # says nothing, not even hello
        server.stop()
        await server.stopped.wait()
        gc.disable()  # nothing may be left for it to close
        try:
            for stream in streams:
                await trio.aclose_forcefully(stream)
            assert descriptors() == before
        finally:
            gc.enable()


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


@pytest.mark.parametrize("place", ["arrival.parse_request", "reception.Connection"])
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
    limits = Limits(handshake_timeout=0.2)
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
