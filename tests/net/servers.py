"""The servers that an application can run on, each with a client, for tests that want the same of all of them."""

from __future__ import annotations

import socket
import ssl
import struct
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import hypercorn.trio
import pytest
import trio
import trio_websocket
import trustme
from hypercorn.config import Config

import wsframework.testing
from wsframework import Limits, serve
from wsframework.server import Server, reactor
from wsframework.testing import Client, HandshakeRefused

PATIENCE = 60.0  # seconds that a whole test may take
MEBIBYTE = 1024 * 1024

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class Served(ABC):
    """An application that is being served."""

    scheme = "ws"

    @abstractmethod
    def connect(
        self, path: str = "/", *, headers: Mapping[str, str] | None = None, subprotocols: Iterable[str] = ()
    ) -> AbstractAsyncContextManager[Client]:
        """Connect a client, and close it when the block ends. Raises HandshakeRefused."""


class Kind(ABC):
    """A way to serve an application.

    Attributes:
        stock: it is hypercorn without us, which cannot keep all of our promises; each test says which.
    """

    name: str
    stock = False

    def prepare(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:  # noqa: B027 - most need nothing
        """Called before the test."""

    @abstractmethod
    def running(self, app: Any, limits: Limits | None = None) -> AbstractAsyncContextManager[Served]:
        """Have the application served inside the block, which has to end within `PATIENCE`."""

    def __repr__(self) -> str:
        return self.name


class InMemory(Kind):
    """The test kit: no sockets, the connection code of our server."""

    name = "memory"

    @asynccontextmanager
    async def running(self, app: Any, limits: Limits | None = None) -> AsyncIterator[Served]:
        with trio.fail_after(PATIENCE):
            yield _ServedInMemory(app, limits)


class _ServedInMemory(Served):
    def __init__(self, app: Any, limits: Limits | None) -> None:
        self._app = app
        self._limits = limits

    def connect(
        self, path: str = "/", *, headers: Mapping[str, str] | None = None, subprotocols: Iterable[str] = ()
    ) -> AbstractAsyncContextManager[Client]:
        return wsframework.testing.connect(
            self._app,
            path,
            headers=headers or {},
            subprotocols=subprotocols,
            limits=self._limits,
            deadline=PATIENCE,
            raise_app_errors=False,
        )


class OverSockets(Kind):
    """Our server behind a port of its own."""

    name = "tcp"

    def make_config(self) -> Config:
        config = Config()
        config.bind = ["127.0.0.1:0"]
        return config

    @asynccontextmanager
    async def running(self, app: Any, limits: Limits | None = None) -> AsyncIterator[Served]:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                urls = await nursery.start(partial(self.serve, app, self.make_config(), limits))
                yield self.served_at(urls[0])
                nursery.cancel_scope.cancel()

    async def serve(
        self, app: Any, config: Config, limits: Limits | None, *, task_status: trio.TaskStatus[list[str]]
    ) -> None:
        await serve(app, config, limits=limits, task_status=task_status)

    def served_at(self, url: str) -> Served:
        return ServedOverSockets(url)


class OverUnixSocket(OverSockets):
    """Our server behind a socket in the file system."""

    name = "unix"

    def prepare(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        if not hasattr(socket, "AF_UNIX"):
            pytest.skip("this system has no Unix sockets")
        self._path = folder / "socket"

    def make_config(self) -> Config:
        config = Config()
        config.bind = [f"unix:{self._path}"]
        return config


class OverTLS(OverSockets):
    """Our server with a certificate."""

    name = "tls"

    def prepare(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.authority = trustme.CA()
        self._files = write_certificate(self.authority, folder)

    def make_config(self) -> Config:
        config = super().make_config()
        config.certfile, config.keyfile = self._files
        return config

    def served_at(self, url: str) -> Served:
        served = ServedOverSockets(url, client_context(self.authority))
        served.scheme = "wss"
        return served


class OnPortablePath(OverSockets):
    """Our server as it is where there is no epoll: plain connections over Trio's streams."""

    name = "portable"

    def prepare(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        monkeypatch.setattr(reactor, "AVAILABLE", False)


class StockHypercorn(OverSockets):
    """hypercorn's own Trio server, which knows us as a plain ASGI application."""

    name = "hypercorn"
    stock = True

    async def serve(
        self, app: Any, config: Config, limits: Limits | None, *, task_status: trio.TaskStatus[list[str]]
    ) -> None:
        await hypercorn.trio.serve(app, config, mode="asgi", task_status=task_status)


KINDS = [InMemory(), OverSockets(), OverUnixSocket(), OverTLS(), OnPortablePath(), StockHypercorn()]


def served_by(*kinds: Kind) -> Any:
    """Make a fixture that runs a test on each of these ways to serve an application."""

    @pytest.fixture(params=kinds, ids=repr)
    def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kind:
        kind: Kind = request.param
        kind.prepare(monkeypatch, tmp_path)
        return kind

    return kind


class ServedOverSockets(Served):
    """An application behind a URL as our server gives it."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._tls = tls

    @asynccontextmanager
    async def connect(
        self, path: str = "/", *, headers: Mapping[str, str] | None = None, subprotocols: Iterable[str] = ()
    ) -> AsyncIterator[Client]:
        fields = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        refusal: HandshakeRefused | None = None
        try:
            async with await open_stream(self._url, self._tls) as stream, trio.open_nursery() as nursery:
                connection = await trio_websocket.wrap_client_stream(
                    nursery,
                    stream,
                    "localhost",
                    path,
                    subprotocols=list(subprotocols),
                    extra_headers=fields,
                    message_queue_size=1_000_000,
                )
                yield Client(connection, _Faults(stream), path, PATIENCE)  # type: ignore[arg-type] # the two it calls
                await connection.aclose()
                nursery.cancel_scope.cancel()
        except* trio_websocket.ConnectionRejected as group:
            rejected = group.exceptions[0]
            assert isinstance(rejected, trio_websocket.ConnectionRejected)
            refusal = HandshakeRefused(rejected.status_code, list(rejected.headers or ()), rejected.body or b"")
        if refusal is not None:
            raise refusal


class _Faults:
    """The faults of a client that stands on a real socket."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def vanish(self) -> None:
        reset(self._stream.transport_stream if isinstance(self._stream, trio.SSLStream) else self._stream)

    def stall(self, stalled: bool = True) -> None:
        if stalled:
            raise NotImplementedError("trio-websocket always reads; a client that does not is a plain stream")


async def open_stream(url: str, tls: ssl.SSLContext | None = None) -> Stream:
    """Connect to a URL as `serve` gives it."""
    if url.startswith("unix:"):
        return await trio.open_unix_socket(url.removeprefix("unix:"))
    host, port = address_of(url)
    stream = await trio.open_tcp_stream(host, port)
    if tls is None:
        return stream
    secure = trio.SSLStream(stream, tls, server_hostname="localhost", https_compatible=True)
    await secure.do_handshake()
    return secure


def address_of(url: str) -> tuple[str, int]:
    """The host and the port in a URL."""
    host, _, port = url.split("//")[1].rpartition(":")
    return host.strip("[]"), int(port)


def reset(stream: trio.SocketStream) -> None:
    """Be gone at once: the other side gets a TCP reset, whatever is still on its way."""
    with suppress(OSError):
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


def write_certificate(authority: trustme.CA, folder: Path) -> tuple[str, str]:
    """Have a certificate for localhost made; return its file and that of its key."""
    issued = authority.issue_cert("localhost", "127.0.0.1")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return str(certificate), str(key)


def client_context(authority: trustme.CA, *protocols: str) -> ssl.SSLContext:
    """TLS for a client that trusts this authority and offers these protocols."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


@attrs.define
class RunningServer:
    """Our server while a test is at it. `stop` cancels it, and then it has `stopped` once its clients have gone."""

    itself: Server
    urls: list[str]
    stopped: trio.Event
    _scope: trio.CancelScope

    @property
    def url(self) -> str:
        return self.urls[0]

    def stop(self) -> None:
        self._scope.cancel()


@asynccontextmanager
async def run_server(
    app: Any, limits: Limits | None = None, *, health: bool = False, patience: float = PATIENCE, **options: Any
) -> AsyncIterator[RunningServer]:
    """Serve an application on a free port inside the block. ``options`` are attributes of hypercorn's ``Config``."""
    scope, stopped = trio.CancelScope(), trio.Event()
    itself = Server(app, make_config(**options), limits=limits, health=health)

    async def run(task_status: trio.TaskStatus[list[str]]) -> None:
        try:
            with scope:
                await itself.run(task_status=task_status)
        finally:
            stopped.set()

    with trio.fail_after(patience):
        async with trio.open_nursery() as nursery:
            urls: list[str] = await nursery.start(run)
            server = RunningServer(itself, urls, stopped, scope)
            yield server
            server.stop()


def make_config(**options: Any) -> Config:
    """hypercorn's ``Config``, on a free port unless the options say otherwise."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    for name, value in options.items():
        setattr(config, name, value)
    return config


# A client that is nothing but a stream, for what no decent client does.

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(payload: bytes, opcode: int = 2) -> bytes:
    """A whole frame as a client sends it, masked with zeros."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + bytes(4) + payload


async def receive_until(stream: Stream, end: bytes) -> bytes:
    """Read until what came ends like this."""
    data = b""
    while not data.endswith(end):
        more = await stream.receive_some()
        if not more:
            raise AssertionError(f"the connection ended after {data!r}")
        data += more
    return data


async def receive_all(stream: Stream) -> bytes:
    """Read until the other side has ended; a reset is an end too."""
    data = b""
    with suppress(trio.BrokenResourceError):
        while more := await stream.receive_some():
            data += more
    return data


async def upgrade(stream: Stream) -> None:
    """Become a WebSocket."""
    await stream.send_all(UPGRADE)
    answer = await receive_until(stream, b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101 "), answer
