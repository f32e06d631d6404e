"""The reactor, with a fake connection on a pair of real sockets: what it calls, and when it must not stop calling."""

import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest
import trio

from wsframework.server import reactor
from wsframework.server.reactor import Reactor, SocketWire
from wsframework.server.wire import RECEIVE_SIZE

pytestmark = pytest.mark.skipif(not reactor.AVAILABLE, reason="there is no epoll here")

PATIENCE = 30.0  # seconds that anything may take
PLENTY = 10 * 1024 * 1024  # bytes that fit no socket buffer


class FakeConnection:
    """Writes down what the wire tells it. Sends what is left to send when there is room."""

    def __init__(self, wire: SocketWire) -> None:
        self.wire = wire
        self.told: list[object] = []
        self.left = b""
        self.fails = False
        self._changed = trio.Event()

    def received(self, data: bytes) -> None:
        self._tell(data)
        if self.fails:
            raise ZeroDivisionError("a bug")

    def writable(self) -> None:
        self._tell("writable")
        self.send(self.left)

    def hung_up(self) -> None:
        self._tell("hung up")

    def abandon(self) -> None:
        self._tell("abandoned")
        self.wire.close()

    def send(self, data: bytes) -> None:
        self.left = data[self.wire.send(data) :]
        if self.left:
            self.wire.ask_to_write()

    def _tell(self, what: object) -> None:
        self.told.append(what)
        self._changed.set()
        self._changed = trio.Event()

    async def wait_for(self, condition: Callable[[], object]) -> None:
        with trio.fail_after(PATIENCE):
            while not condition():
                await self._changed.wait()


class Pair:
    """A wire that runs, and the client's socket."""

    def __init__(self, running: Reactor) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.client = trio.socket.from_stdlib_socket(theirs)
        self.wire = SocketWire(ours, running)
        self.connection = FakeConnection(self.wire)
        self.wire.start(self.connection)  # type: ignore[arg-type]


@pytest.fixture
async def pair(nursery: trio.Nursery) -> AsyncIterator[Pair]:
    running = Reactor()
    nursery.start_soon(running.run)
    pair = Pair(running)
    try:
        yield pair
    finally:
        pair.client.close()
        pair.wire.close()


async def test_a_held_client_that_ends_its_side_still_takes_bytes(pair: Pair) -> None:
    """A half-close behind a full inbox is told, and what waits for the client leaves all the same."""
    connection = pair.connection
    pair.wire.hold()
    connection.send(b"x" * PLENTY)
    pair.client.shutdown(socket.SHUT_WR)
    await connection.wait_for(lambda: "hung up" in connection.told)
    taken = 0
    with trio.fail_after(PATIENCE):
        while taken < PLENTY:
            taken += len(await pair.client.recv(PLENTY))
    assert connection.left == b""
    assert connection.told.count("hung up") == 1
    pair.wire.resume()
    await connection.wait_for(lambda: b"" in connection.told)


@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_held_client_that_goes(pair: Pair, how: str) -> None:
    """What it had sent is read all the same, its going is told once without spinning, its end when there is room."""
    connection = pair.connection
    pair.wire.hold()
    await pair.client.send(b"last words")
    if how == "resets":
        pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.client.close()
    await connection.wait_for(lambda: "hung up" in connection.told)
    for _ in range(10):
        await trio.lowlevel.checkpoint()
    assert connection.told == [b"last words", "hung up"]
    pair.wire.resume()
    await connection.wait_for(lambda: len(connection.told) >= 3)
    assert connection.told[:3] == [b"last words", "hung up", b""]


async def test_a_held_client_that_goes_after_a_flood(pair: Pair) -> None:
    """Only a few reads of what it had sent are taken beyond the bound; the rest comes when there is room."""
    connection = pair.connection
    pair.wire.hold()
    pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PLENTY)
    sent = 0
    with trio.move_on_after(0.2):
        while True:
            sent += await pair.client.send(b"x" * RECEIVE_SIZE)
    pair.client.close()
    await connection.wait_for(lambda: "hung up" in connection.told)
    assert sum(len(data) for data in connection.told if isinstance(data, bytes)) <= 4 * RECEIVE_SIZE
    pair.wire.resume()
    await connection.wait_for(lambda: b"" in connection.told)
    assert sum(len(data) for data in connection.told if isinstance(data, bytes)) == sent


async def test_a_held_client_is_not_read(pair: Pair) -> None:
    """Until there is room."""
    connection = pair.connection
    pair.wire.hold()
    await pair.client.send(b"one")
    connection.send(b"x" * PLENTY)
    await pair.client.recv(PLENTY)
    await connection.wait_for(lambda: "writable" in connection.told)
    assert b"one" not in connection.told
    pair.wire.resume()
    await connection.wait_for(lambda: b"one" in connection.told)


async def test_an_error_ends_one_connection(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, the connection is abandoned, and the reactor goes on."""
    pair.connection.fails = True
    await pair.client.send(b"one")
    await pair.connection.wait_for(lambda: "abandoned" in pair.connection.told)
    assert await pair.client.recv(1) == b""
    [record] = caplog.records
    assert record.levelno == logging.ERROR
