"""How much is read at a time from a client that sends little, and from one that sends much."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio

from wsframework.server.reactor import AVAILABLE, Reactor, SocketWire
from wsframework.server.wire import RECEIVE_SIZE

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="needs epoll")


class Reads:
    """Keeps what a wire has read, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def received(self, data: bytes) -> None:
        self.pieces.append(data)

    def writable(self) -> None: ...

    def hung_up(self) -> None: ...

    def abandon(self) -> None: ...


class Watched(socket.socket):
    """A socket that remembers how much was asked of it."""

    asked: list[int]

    def recv(self, size: int, flags: int = 0) -> bytes:
        self.asked.append(size)
        return super().recv(size, flags)


@contextmanager
def pair() -> Iterator[tuple[socket.socket, Watched]]:
    client, server = socket.socketpair()
    watched = Watched(fileno=server.detach())
    watched.asked = []
    watched.setblocking(False)
    with client, watched:
        yield client, watched


@asynccontextmanager
async def reading() -> AsyncIterator[tuple[socket.socket, Watched, Reads]]:
    """A client, the socket of the server, and what a wire around it has read."""
    with pair() as (client, server):
        reactor, reads = Reactor(), Reads()
        wire = SocketWire(server, reactor)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reactor.run)
            wire.start(reads)
            yield client, server, reads
            wire.close()
            nursery.cancel_scope.cancel()


async def test_it_asks_for_what_the_client_tends_to_send() -> None:
    """Little at first; all that there is when that was not all; and little again when little has come."""
    async with reading() as (client, server, reads):

        async def send(size: int) -> tuple[list[int], list[int]]:
            """Return the sizes that were asked for, and of the pieces that were passed on."""
            server.asked.clear()
            reads.pieces.clear()
            client.sendall(bytes(size))
            while sum(map(len, reads.pieces)) < size:
                await trio.lowlevel.checkpoint()
            return server.asked.copy(), [len(piece) for piece in reads.pieces]

        little = (await send(100))[0][0]
        assert little < 1000
        assert await send(100) == ([little], [100])
        assert await send(5000) == ([little, RECEIVE_SIZE - little], [5000])  # in one piece, and one turn
        assert await send(5000) == ([RECEIVE_SIZE], [5000])
        assert await send(100) == ([RECEIVE_SIZE], [100])
        assert await send(100) == ([little], [100])
        assert await send(little) == ([little, RECEIVE_SIZE - little], [little])  # there was no more
        assert await send(little) == ([RECEIVE_SIZE], [little])


async def test_the_end_behind_a_first_read_that_was_full() -> None:
    """It is told in the next turn, and not taken for data."""
    async with reading() as (client, server, reads):
        client.sendall(b"x")
        while not reads.pieces:
            await trio.lowlevel.checkpoint()
        data = bytes(server.asked[0])
        reads.pieces.clear()
        client.sendall(data)
        client.close()
        while b"" not in reads.pieces:
            await trio.lowlevel.checkpoint()
        assert b"".join(reads.pieces) == data
