"""An application with pages of all kinds behind our server, and what a client of HTTP/1.1 sees of it."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h11
import trio
import trustme

from tests.net.servers import (
    RunningServer,
    ServedOverSockets,
    Stream,
    client_context,
    open_stream,
    run_server,
    write_certificate,
)
from wsframework import App

END = b"\r\n\r\n"


class Task:
    """What a request leaves to be done behind its answer.

    Attributes:
        go_on: set it to let that end.
        done: it has ended, and was not cancelled.
    """

    def __init__(self) -> None:
        self.go_on, self.done = trio.Event(), trio.Event()

    async def run(self) -> None:
        await self.go_on.wait()
        self.done.set()


class Site:
    """The server, and what it takes to connect to it the one way or the other."""

    def __init__(self, server: RunningServer, tls: ssl.SSLContext | None) -> None:
        self.url = server.url
        self.tls = tls

    async def open(self) -> Stream:
        return await open_stream(self.url, self.tls)

    def websocket(self) -> Any:
        return ServedOverSockets(self.url, self.tls).connect()

    async def get(self, path: str) -> "Response":
        async with await self.open() as stream:
            await stream.send_all(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
            return await receive_response(stream)


class Response:
    def __init__(self, head: h11.Response, body: bytes) -> None:
        self.status = head.status_code
        self.headers = {name.decode(): value.decode() for name, value in head.headers}
        self.body = body


async def receive_response(stream: Stream, parser: h11.Connection | None = None) -> Response:
    """Read one whole response, with a parser that has sent its request."""
    if parser is None:
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method="GET", target="/", headers=[("Host", "localhost")]))
        parser.send(h11.EndOfMessage())
    head, body = None, b""
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            parser.receive_data(await stream.receive_some())
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            return Response(head, body)


@asynccontextmanager
async def serving(way: str, app: App, authority: trustme.CA, folder: Path, **options: Any) -> AsyncIterator[Site]:
    tls = None
    limits = options.pop("limits", None)
    if way == "tls":
        options["certfile"], options["keyfile"] = write_certificate(authority, folder)
        tls = client_context(authority)
    async with run_server(app, limits, **options) as server:
        yield Site(server, tls)


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
