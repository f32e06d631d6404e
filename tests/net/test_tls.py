"""TLS with clients that other people wrote, and what only a secure connection can do."""

import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from starlette.requests import Request
from websockets.sync.client import connect as websockets_connect

from tests.net.echo import Watched
from tests.net.observing import wait_until
from tests.net.servers import (
    PATIENCE,
    UPGRADE,
    RunningServer,
    address_of,
    client_context,
    frame,
    open_stream,
    receive_all,
    receive_until,
    run_server,
    upgrade,
    write_certificate,
)
from wsframework import App, CloseCode, Limits, WebSocket


class Site:
    """A server with a certificate, and what a client needs to trust it."""

    def __init__(self, server: RunningServer, authority: trustme.CA, gone: list[tuple[int, str]]) -> None:
        self.url = server.url
        self.address = address_of(server.url)
        self.authority = authority
        self.gone = gone

    def trust(self, *protocols: str) -> ssl.SSLContext:
        return client_context(self.authority, *protocols)


@pytest.fixture
def serve(wire: str, tmp_path: Path) -> Any:
    """A function that serves an echo endpoint and a page with TLS."""

    @asynccontextmanager
    async def serve(limits: Limits | None = None, endpoint: type[Watched] = Watched) -> AsyncIterator[Site]:
        gone: list[tuple[int, str]] = []
        app = App()
        app.websocket("/")(type("Noted", (endpoint,), {"gone": gone}))

        @app.route("/")
        async def index(request: Request) -> dict[str, Any]:
            return {"http": request.scope["http_version"], "scheme": request.url.scheme}

        authority = trustme.CA()
        certificate, key = write_certificate(authority, tmp_path)
        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        async with run_server(app, limits, certfile=certificate, keyfile=key) as server:
            yield Site(server, authority, gone)

    return serve


# Clients


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
async def test_websockets_as_a_client(serve: Any, version: ssl.TLSVersion) -> None:
    """The websockets library echoes small and large messages, and both sides see the close code."""

    def talk(site: Site) -> None:
        context = site.trust("http/1.1")
        context.minimum_version = context.maximum_version = version
        url = site.url.replace("https", "wss").replace("127.0.0.1", "localhost")
        with websockets_connect(url, ssl=context, compression=None, open_timeout=PATIENCE) as websocket:
            assert websocket.socket.selected_alpn_protocol() == "http/1.1"
            for message in ("hello", b"x" * 500_000, "y" * 100_000):
                websocket.send(message)
                assert websocket.recv(timeout=PATIENCE) == message
            websocket.close(4001, "see you")
            assert (websocket.close_code, websocket.close_reason) == (4001, "see you")

    async with serve() as site:
        await trio.to_thread.run_sync(talk, site)
        await wait_until(lambda: site.gone)
    assert site.gone == [(4001, "see you")]


@pytest.mark.parametrize(("option", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
async def test_curl(serve: Any, require: Callable[..., str], tmp_path: Path, option: str, version: str) -> None:
    """curl gets the version of HTTP that it asks for, and finds nothing wrong with how the connection ends."""
    curl = require("curl")
    async with serve() as site:
        command = [curl, "--silent", "--show-error", "--cacert", str(tmp_path / "authority.pem"), option]
        command += ["--write-out", "\n%{http_version} %{exitcode}", site.url]
        done = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT)
    body, _, rest = done.stdout.decode().partition("\n")
    assert json.loads(body) == {"http": version, "scheme": "https"}
    assert rest == f"{version} 0"


@pytest.mark.parametrize("request_head", [UPGRADE, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"\r\n"])
async def test_the_end_is_told(serve: Any, wire: str, request_head: bytes) -> None:
    """A connection ends with a close_notify, so that a client can tell it from one that was cut (RFC 8446 6.1)."""

    def talk(site: Site) -> bytes:
        with socket.create_connection(site.address) as plain:
            plain.settimeout(PATIENCE)
            with site.trust().wrap_socket(
                plain, server_hostname="localhost", suppress_ragged_eofs=False, do_handshake_on_connect=True
            ) as secure:
                secure.sendall(request_head)
                data = secure.recv(65536)
                if request_head == UPGRADE:
                    secure.sendall(frame(b"\x03\xe8", opcode=8))
                try:
                    while more := secure.recv(65536):
                        data += more
                except ssl.SSLEOFError:
                    return b"cut"
        return data

    async with serve() as site:
        answer = await trio.to_thread.run_sync(talk, site)
    if wire == "reactor":  # trio's streams send no close_notify without waiting for the answer
        assert answer.startswith(b"HTTP/1.1 ")


# What clients can try


async def test_handshake_that_does_not_come(serve: Any) -> None:
    """Who says nothing, or stops in the middle of the TLS handshake, is closed at the deadline."""
    async with serve(Limits(handshake_timeout=0.2)) as site:
        for data in (b"", b"\x16\x03\x01\x02\x00\x01"):
            async with await open_stream(site.url) as stream:
                await stream.send_all(data)
                assert await receive_all(stream) == b""


async def test_a_client_that_leaves_behind_a_full_inbox(serve: Any, wire: str) -> None:
    """It is noticed while its messages wait; in the reactor its close code is read, too."""
    busy, left = trio.Event(), trio.Event()

    class Busy(Watched):
        async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
            self.start_soon(self.watch)
            busy.set()
            await trio.sleep_forever()

        async def watch(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                left.set()

    async with serve(Limits(inbox_messages=2), Busy) as site:
        stream = await open_stream(site.url, site.trust())
        await upgrade(stream)
        await stream.send_all(frame(b"x") * 10)
        await busy.wait()
        if wire == "reactor":
            await stream.send_all(frame(b"y") + frame(b"\x0f\xa1see you", opcode=8))
        await trio.aclose_forcefully(stream)
        await left.wait()
        await wait_until(lambda: site.gone)
    assert site.gone[0][0] == (4001 if wire == "reactor" else CloseCode.ABNORMAL_CLOSURE)


async def test_many_messages_in_few_records(serve: Any) -> None:
    """Messages that share a record, and records that share a packet, are all handled, in order."""
    async with serve() as site, await open_stream(site.url, site.trust()) as stream:
        await upgrade(stream)
        await stream.send_all(b"".join(frame(b"%05d" % number) for number in range(10_000)))
        answer = await receive_until(stream, b"09999")
    assert answer == b"".join(b"\x82\x05%05d" % number for number in range(10_000))
