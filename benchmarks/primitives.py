"""What the building blocks cost on this machine: ``python -m benchmarks.primitives``.

Design notes and comments name a few of these numbers, because they decided how something is built. Each is the best of
several runs, in processor time, so that other work on the machine disturbs it little.
"""

import time
from collections.abc import Awaitable, Callable

import h11
import trio
import trio.testing
from trio.lowlevel import checkpoint, checkpoint_if_cancelled

from wsframework import Limits, WebSocket, WebSocketEndpoint
from wsframework.server.connection import Connection
from wsframework.server.frames import FrameReader
from wsframework.server.head.handshake import check_upgrade
from wsframework.server.head.plain import parse_plain
from wsframework.server.head.request import parse_request
from wsframework.server.scope import Peers, make_scope
from wsframework.server.upkeep import Upkeep

RUNS = 5
HEAD = (
    b"GET /chat HTTP/1.1\r\nHost: localhost:8000\r\nConnection: Upgrade\r\nPragma: no-cache\r\n"
    b"Cache-Control: no-cache\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36\r\n"
    b"Upgrade: websocket\r\nOrigin: http://localhost:8000\r\nSec-WebSocket-Version: 13\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
MESSAGE = b"\x81\x85\0\0\0\0hello"
CONNECTIONS = 100
FLOOD = b"\x81\x80\x01\x02\x03\x04" * 10_000  # empty messages, in a read of 60 KB


class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_text(data)


class Nowhere:
    """A wire that takes everything."""

    def send(self, data: bytes | memoryview) -> int:
        return len(data)

    def ask_to_write(self) -> None:
        pass

    hold = resume = shut_down = close = ask_to_write


async def echo_cost(times: int) -> float:
    """Return the seconds of one echoed message, through a whole endpoint but without a socket."""
    handshake = check_upgrade(parse_request(HEAD, Limits()))
    upkeep = Upkeep()
    connections = [Connection(Nowhere(), handshake, Limits(), upkeep) for _ in range(CONNECTIONS)]
    costs = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(upkeep.run)
        for connection in connections:
            endpoint = Echo(make_scope(handshake, Peers(), {}), connection.asgi_receive, connection.asgi_send)
            nursery.start_soon(endpoint.dispatch)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(RUNS):
            began = time.process_time()
            for _ in range(times):
                for connection in connections:
                    connection.received(MESSAGE)
                await checkpoint()
            costs.append(time.process_time() - began)
        await trio.testing.wait_all_tasks_blocked()
        for connection in connections:
            connection.abandon()
        nursery.cancel_scope.cancel()
    assert all(connection.messages_out == RUNS * times for connection in connections)
    return min(costs) / times / CONNECTIONS


async def nursery() -> None:
    async with trio.open_nursery():
        pass


async def cancel_scope() -> None:
    with trio.CancelScope():  # noqa: ASYNC100 - that it does nothing is the point
        pass


def read_flood() -> None:
    reader = FrameReader(1024)
    reader.feed(FLOOD)
    while reader.behind:
        reader.feed(b"")


def read_with_h11() -> None:
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(HEAD)
    parser.next_event()


async def async_cost(function: Callable[[], Awaitable[object]], times: int) -> float:
    """Return the seconds of one call."""
    costs = []
    for _ in range(RUNS):
        began = time.process_time()
        for _ in range(times):
            await function()
        costs.append(time.process_time() - began)
    return min(costs) / times


def cost(function: Callable[[], object], times: int) -> float:
    """Return the seconds of one call."""
    costs = []
    for _ in range(RUNS):
        began = time.process_time()
        for _ in range(times):
            function()
        costs.append(time.process_time() - began)
    return min(costs) / times


async def main() -> None:
    rows = {
        "an empty nursery": await async_cost(nursery, 2000),
        "an empty cancel scope": await async_cost(cancel_scope, 2000),
        "a checkpoint": await async_cost(checkpoint, 2000),
        "a check for cancellation": await async_cost(checkpoint_if_cancelled, 10_000),
        "an echoed message, without a socket": await echo_cost(20),
        "a request head of Chromium": cost(lambda: parse_plain(HEAD), 1000),
        "the same, read by h11": cost(read_with_h11, 200),
        "10,000 empty messages in one read": cost(read_flood, 2),
    }
    for name, seconds in rows.items():
        print(f"{name:<36}{seconds * 1e6:>10.2f} us")


if __name__ == "__main__":
    trio.run(main)
