"""A handler that blocks the event loop delays everybody, and nobody is punished for that.

Time is virtual and jumps while a handler runs, which is what a block is: time goes by and nothing else happens. The
sockets are real, so what a client sends meanwhile waits in the kernel, unread, when the deadlines are over.

Trio runs tasks in an order that it chooses anew each time, so where the order decides there are several attempts.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from tests.net.servers import PATIENCE, UPGRADE, frame, open_stream, receive_until, run_server, upgrade
from wsframework import App, Limits, WebSocket
from wsframework.server import reactor

pytestmark = pytest.mark.skipif(not reactor.AVAILABLE, reason="where there is no reactor, each client has tasks")

# What a client would have to do while the loop is blocked for BLOCK, though the limit allows it less.
LIMIT = 1.0
BLOCK = 3.0


class Blocking:
    """An application whose ``/block`` blocks the loop; its other endpoints echo, or send more than a client takes.

    Attributes:
        while_blocked: is called in the middle of the block.
    """

    def __init__(self, clock: MockClock) -> None:
        self.app = App()
        self.while_blocked: Callable[[], object] = lambda: None

        @self.app.websocket("/block")
        async def block(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.receive_bytes()
            self.while_blocked()
            clock.jump(BLOCK)
            await websocket.send_bytes(b"done")
            await websocket.receive_bytes()  # until the client leaves

        @self.app.websocket("/")
        async def echo(websocket: WebSocket) -> None:
            await websocket.accept()
            async for data in websocket.iter_bytes():
                await websocket.send_bytes(data)

        @self.app.websocket("/much")
        async def much(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_bytes(bytes(MUCH))
            await websocket.close()


MUCH = 16 * 1024 * 1024  # more than the buffers of two sockets hold


def at(path: bytes) -> bytes:
    return UPGRADE.replace(b"GET / ", b"GET " + path + b" ")


async def block_the_loop(url: str) -> None:
    """Have the handler block, and wait until the server has caught up."""
    async with await open_stream(url) as stream:
        await stream.send_all(at(b"/block"))
        await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(frame(b"now"))
        await receive_until(stream, b"\x82\x04done")


async def let_time_pass(clock: MockClock, seconds: float) -> None:
    """Time goes by in small steps, and everybody does meanwhile what there is to do."""
    for _ in range(round(seconds / 0.05)):
        clock.jump(0.05)
        for _ in range(5):
            await trio.lowlevel.checkpoint()


def send_now(stream: trio.SocketStream | object, data: bytes) -> None:
    """Put bytes into the kernel, from where the server has to read them, without letting it run."""
    assert isinstance(stream, trio.SocketStream)
    assert stream.socket._sock.send(data) == len(data)  # type: ignore[attr-defined] # trio's own send yields


async def test_a_pong_that_came_in_time_counts(mock_clock: MockClock) -> None:
    """The pong arrives within ``ping_timeout``, and the server can only read it afterwards."""
    blocking = Blocking(mock_clock)
    limits = Limits(ping_interval=2.0, ping_timeout=LIMIT)
    async with run_server(blocking.app, limits) as server, await open_stream(server.url) as stream:
        await upgrade(stream)
        await let_time_pass(mock_clock, 2.1)
        assert await receive_until(stream, b"\x89\x00") == b"\x89\x00"
        blocking.while_blocked = lambda: send_now(stream, frame(b"", opcode=10))
        await block_the_loop(server.url)
        await let_time_pass(mock_clock, 1.5)
        assert server.itself.statistics().closed == {1006: 1}  # whose handler has blocked
        await stream.send_all(frame(b"here"))
        assert await receive_until(stream, b"here") == b"\x82\x04here"


async def test_a_client_that_sends_no_pong_is_cut_off_all_the_same(mock_clock: MockClock) -> None:
    """To be given a chance is not to be forgiven: who is silent after the block, too, goes."""
    blocking = Blocking(mock_clock)
    limits = Limits(ping_interval=2.0, ping_timeout=LIMIT)
    async with run_server(blocking.app, limits) as server, await open_stream(server.url) as stream:
        await upgrade(stream)
        await let_time_pass(mock_clock, 2.1)
        await receive_until(stream, b"\x89\x00")
        await block_the_loop(server.url)
        await let_time_pass(mock_clock, 1.5)
        assert server.itself.statistics().closed == {1006: 2}


@pytest.mark.parametrize("attempt", range(5))
async def test_a_client_that_could_take_bytes_is_not_slow(mock_clock: MockClock, attempt: int) -> None:
    """It reads everything while the server is not there to send more: that it took nothing is not its fault."""
    blocking = Blocking(mock_clock)
    taken = bytearray()

    def read() -> None:
        while True:
            try:
                taken.extend(stream.socket._sock.recv(1 << 20))  # type: ignore[union-attr] # trio's own yields
            except BlockingIOError:
                return

    limits = Limits(write_timeout=LIMIT, ping_interval=None)
    async with run_server(blocking.app, limits) as server, await open_stream(server.url) as stream:
        await stream.send_all(at(b"/much"))
        for _ in range(100):  # until the buffers are full
            await trio.lowlevel.checkpoint()
        blocking.while_blocked = read
        await block_the_loop(server.url)
        assert len(taken) < MUCH
        with trio.fail_after(PATIENCE):
            while len(taken) < MUCH:
                data = await stream.receive_some()
                assert data, f"cut off after {len(taken)} bytes"
                taken += data


@pytest.mark.parametrize("attempt", range(5))
async def test_a_request_that_came_in_time_is_read(mock_clock: MockClock, attempt: int) -> None:
    """The request head arrives within ``handshake_timeout``, and the server can only read it afterwards."""
    blocking = Blocking(mock_clock)
    limits = Limits(handshake_timeout=LIMIT)
    async with run_server(blocking.app, limits) as server, await open_stream(server.url) as stream:
        await stream.send_all(UPGRADE[:20])
        while server.itself.statistics().open < 1:
            await trio.lowlevel.checkpoint()
        blocking.while_blocked = lambda: send_now(stream, UPGRADE[20:])
        await block_the_loop(server.url)
        assert (await receive_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")


async def test_a_client_that_comes_during_the_block_has_its_whole_time(mock_clock: MockClock) -> None:
    """The time for a handshake begins when the server takes the connection, not when the client came."""
    blocking = Blocking(mock_clock)
    limits = Limits(handshake_timeout=LIMIT)
    async with run_server(blocking.app, limits) as server:
        await block_the_loop(server.url)
        async with await open_stream(server.url) as stream:
            await let_time_pass(mock_clock, LIMIT / 2)
            await upgrade(stream)
