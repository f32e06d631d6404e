"""What an idle connection takes of the server's memory."""

import gc
import socket
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest
import trio
from hypercorn.config import Config

from tests.net.servers import PATIENCE
from wsframework import App, WebSocket, WebSocketEndpoint, serve
from wsframework.server import reactor

pytestmark = pytest.mark.skipif(not reactor.AVAILABLE, reason="without epoll a connection has a second task")

CLIENTS = 100

# What ours take, Python's and Trio's objects included. `python -m benchmarks --jobs idle-10000` shows what that is in
# resident memory, which is a little more.
MOST = 10 * 1024

REQUEST = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MESSAGE = b"\x81\x85\0\0\0\0hello"
ECHO = b"\x81\x05hello"

app = App()


@app.websocket("/echo")
class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_text(data)


async def talk(client: socket.socket, address: tuple[str, int]) -> None:
    """Connect, and have one message echoed."""
    client.connect(address)  # which the system answers, whatever the server does
    client.sendall(REQUEST + MESSAGE)
    received = b""
    while not received.endswith(ECHO):
        await trio.lowlevel.wait_readable(client)
        received += client.recv(4096)


@contextmanager
def measured() -> Iterator[list[int]]:
    """Give a list that has, behind the block, the bytes of Python's memory that the block took and kept."""
    result: list[int] = []
    tracer = sys.gettrace()
    sys.settrace(None)  # a frame that is traced is larger
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield result
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        result.append(after - before)
    finally:
        tracemalloc.stop()
        sys.settrace(tracer)


async def test_an_idle_connection(nursery: trio.Nursery) -> None:
    """An idle connection with a class as its endpoint, all limits and deadlines on, takes at most 10 KiB."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    with trio.fail_after(PATIENCE), ExitStack() as stack:
        urls: Sequence[str] = await nursery.start(partial(serve, app, config))
        host, _, port = urls[0].rpartition("/")[2].rpartition(":")
        first, *others = [stack.enter_context(socket.socket()) for _ in range(1 + CLIENTS)]
        await talk(first, (host, int(port)))  # what is made once only is made
        with measured() as taken:
            for client in others:
                await talk(client, (host, int(port)))
        nursery.cancel_scope.cancel()
    assert taken[0] / CLIENTS < MOST
