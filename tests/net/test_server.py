"""A server starts: its addresses, its certificate, and the lifespan of its application."""

import gc
import math
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trustme

from tests.net.echo import Watched, check_echo, connect
from tests.net.observing import errors_in
from tests.net.servers import (
    UPGRADE,
    ServedOverSockets,
    address_of,
    client_context,
    make_config,
    open_stream,
    run_server,
    upgrade,
    write_certificate,
)
from wsframework import App, CloseCode, Limits, StartupError, WebSocket, WebSocketDisconnect, WebSocketRoute, serve


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


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Limits) if "float" in str(field.type)])
async def test_a_limit_without_end(app: App, name: str, wire: str) -> None:
    """Any time and any rate may be infinite."""
    limits = Limits(messages_per_second=1000)
    async with run_server(app, attrs.evolve(limits, **{name: math.inf})) as server:
        async with connect(server) as client:
            await check_echo(client)
            server.itself.drain()
            with pytest.raises(WebSocketDisconnect):
                await client.receive()
        await server.stopped.wait()


@pytest.mark.parametrize(
    ("limits", "warns"),
    [
        (Limits(), False),
        (Limits(bytes_per_second=1000), True),
        (Limits(bytes_per_second=1000, message=11_000), False),
        (Limits(bytes_per_second=1000, message=11_001), True),
        (Limits(messages_per_second=1), False),
    ],
)
async def test_messages_that_would_never_arrive(
    app: App, limits: Limits, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A server warns at its start if a message that it lets in takes longer than a client may be above its rate."""
    async with run_server(app, limits):
        pass
    found = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(found) == warns
    assert all("Let message be at most 1000, what may come" in message for message in found)


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
