"""How a connection over a trio stream ends, with and without TLS, by errors and by cancellation."""

import logging
import ssl

import pytest
import trio
import trustme
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from tests.server.builders import client_close, client_frame, client_text, server_close, server_text
from tests.server.served import Serve, Server, read, read_answer, start
from wsframework import CloseCode, Limits, WebSocketDisconnect
from wsframework.server.connection import Connection
from wsframework.server.frames import encode_message
from wsframework.server.streams import end_sending
from wsframework.server.upkeep import Upkeep
from wsframework.testing.streams import memory_connection

LIMITS = Limits(ping_interval=None)
KIB = 1024


# The end


async def test_the_client_closes(serve: Serve) -> None:
    """It gets our close frame, then the end of the stream; the connection is gone when it goes."""
    server, client = await start(serve)
    await client.send_all(client_close(4000, "bye"))
    assert await read(client, 7) == server_close(4000, "bye")
    assert await client.receive_some() == b""
    assert not server.connection.gone
    await client.aclose()
    await server.ended.wait()
    assert server.gone == 1
    assert server.connection.close_code == 4000


async def test_we_close(serve: Serve) -> None:
    """The stream ends when the client has answered."""
    server, client = await start(serve)
    await server.connection.close(4000)
    assert await read(client, 4) == server_close(4000)
    await client.send_all(client_text("late") + client_close(4000))
    assert await client.receive_some() == b""
    await client.aclose()
    await server.ended.wait()
    assert server.gone == 1


async def test_the_client_ends_its_side_behind_its_close_frame(serve: Serve, nursery: trio.Nursery) -> None:
    """It may still read: replies to what came before reach it, however slowly, and so does our close frame."""
    server, client = await start(serve, window=KIB)
    await client.send_all(client_text("one") + client_text("two") + client_close(4000))
    await client.send_eof()
    await wait_all_tasks_blocked()
    reply = b"x" * 40 * KIB

    async def answer() -> None:
        for _ in range(2):
            await server.connection.receive()
        await server.connection.send(reply)
        with pytest.raises(WebSocketDisconnect, match="4000"):
            await server.connection.receive()

    nursery.start_soon(answer)
    await wait_all_tasks_blocked()
    expected = encode_message(reply) + server_close(4000)
    assert await read(client, len(expected)) == expected
    await server.ended.wait()
    assert server.gone == 1


async def test_we_close_behind_a_backlog(serve: Serve, nursery: trio.Nursery) -> None:
    """Every byte leaves, then the close frame, then the end of the stream."""
    server, client = await start(serve, window=KIB)
    message = b"x" * 200 * KIB
    nursery.start_soon(server.connection.send, message)
    await wait_all_tasks_blocked()
    await server.connection.close(4000)
    await client.send_all(client_close(4000))
    expected = encode_message(message) + server_close(4000)
    assert await read(client, len(expected)) == expected
    assert await client.receive_some() == b""
    await client.aclose()
    await server.ended.wait()


async def test_the_client_does_not_go(serve: Serve, autojump_clock: MockClock) -> None:
    """It is cut off a second after the closing handshake, whatever it sends."""
    server, client = await start(serve)
    await client.send_all(client_close())
    for _ in range(4):
        await trio.sleep(0.2)
        await client.send_all(b"x" * 1000)
    assert not server.connection.gone
    await server.ended.wait()
    assert trio.current_time() == pytest.approx(1)
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"x")


@pytest.mark.parametrize("how", ["closes", "half-closes", "vanishes"])
async def test_the_client_leaves_without_a_word(serve: Serve, how: str) -> None:
    """That is 1006, once, behind the messages that came before."""
    server, client = await start(serve)
    await client.send_all(client_text("one"))
    await wait_all_tasks_blocked()
    match how:
        case "closes":
            await client.aclose()
        case "half-closes":
            await client.send_eof()
        case _:
            client.vanish()
    await server.ended.wait()
    assert await server.connection.receive() == "one"
    with pytest.raises(WebSocketDisconnect, match="1006"):
        await server.connection.receive()
    assert server.gone == 1


async def test_the_client_vanishes_while_we_write(serve: Serve, nursery: trio.Nursery) -> None:
    """The writer finds it, and the send that waited is told."""
    server, client = await start(serve, Limits(inbox_messages=1), window=KIB)
    ended = trio.Event()

    async def send() -> None:
        with pytest.raises(WebSocketDisconnect, match="the client left"):
            await server.connection.send(b"x" * 200 * KIB)
        ended.set()

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    await client.send_all(client_text("held"))  # so that the reader does not find it first
    await wait_all_tasks_blocked()
    client.vanish()
    await ended.wait()
    await server.ended.wait()
    assert server.gone == 1


class NotHalfCloseable(trio.abc.Stream):
    """A stream that can only be closed as a whole."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.stream.aclose()


async def test_a_stream_that_cannot_be_half_closed(serve: Serve) -> None:
    """It is closed behind our last byte."""
    client, ours = memory_stream_pair()
    server = await serve(NotHalfCloseable(ours))
    await read_answer(client)
    await client.send_all(client_close(4000))
    assert await read(client, 4) == server_close(4000)
    assert await client.receive_some() == b""
    await server.ended.wait()
    assert server.gone == 1
    assert server.connection.close_code == 4000


async def test_a_stream_that_breaks_as_it_is_ended(serve: Serve, autojump_clock: MockClock) -> None:
    """Then there is nobody to wait for."""
    client, ours = memory_stream_pair()

    class BreaksOnce(NotHalfCloseable):
        broken = False

        async def aclose(self) -> None:
            if not self.broken:
                self.broken = True
                raise trio.BrokenResourceError("reset")
            await super().aclose()

    server = await serve(BreaksOnce(ours))
    await read_answer(client)
    await client.send_all(client_close(4000))
    await server.ended.wait()
    assert trio.current_time() == 0
    assert server.gone == 1
    assert server.connection.close_code == 4000


async def test_tls(serve: Serve) -> None:
    """Only the stream below TLS is ended, so what the client still sends is read, and nothing is reset."""
    authority = trustme.CA()
    ours_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("example.com").configure_cert(ours_context)
    theirs_context = ssl.create_default_context()
    authority.configure_trust(theirs_context)
    theirs, ours = memory_stream_pair()
    secure = trio.SSLStream(ours, ours_context, server_side=True, https_compatible=True)
    client = trio.SSLStream(theirs, theirs_context, server_hostname="example.com", https_compatible=True)
    async with trio.open_nursery() as handshakes:
        handshakes.start_soon(secure.do_handshake)
        handshakes.start_soon(client.do_handshake)
    server = await serve(secure)
    await read_answer(client)
    await client.send_all(client_text("one"))
    assert await server.connection.receive() == "one"
    await client.send_all(client_frame(3))
    reason = server_close(CloseCode.PROTOCOL_ERROR, "opcode 3 is not defined")
    assert await read(client, len(reason)) == reason
    await client.send_all(b"x" * 1000)
    assert await client.receive_some() == b""
    await wait_all_tasks_blocked()
    assert not server.connection.gone
    await client.aclose()
    await server.ended.wait()
    assert server.gone == 1


async def test_end_sending() -> None:
    """It says whether the other side could be told."""
    theirs, ours = memory_stream_pair()
    assert await end_sending(ours)
    assert await theirs.receive_some() == b""
    assert not await end_sending(NotHalfCloseable(theirs))


# Errors and cancellation


async def test_an_error_inside_the_server(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged and ends this connection, and only this one."""

    class Failing(Connection):
        def received(self, data: bytes) -> None:
            raise ZeroDivisionError("a bug")

    server, client = await start(serve, kind=Failing)
    other, other_client = await start(serve)
    await client.send_all(client_text("x"))
    await server.ended.wait()
    assert server.gone == 1
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    await other.connection.send("x")
    assert await read(other_client, 3) == server_text("x")


async def test_cancelling_does_not_end_it_before_its_time(
    upkeep: Upkeep, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """When the server is cancelled, there is still time to say goodbye; `close_after` bounds it."""
    theirs, ours = memory_connection()
    server = Server(ours, upkeep)
    scope = trio.CancelScope()

    async def run() -> None:
        with scope:
            await server.run()

    nursery.start_soon(run)
    await read_answer(theirs)
    scope.cancel()
    server.wire.close_after(1)
    await wait_all_tasks_blocked()
    server.connection.finish(CloseCode.GOING_AWAY)
    assert await read(theirs, 4) == server_close(1001)
    assert not server.connection.gone
    await trio.sleep(1.1)
    assert server.connection.gone
    assert server.gone == 1


async def test_closed_before_it_runs(upkeep: Upkeep) -> None:
    """A connection that is abandoned at once takes its stream with it."""
    theirs, ours = memory_connection()
    server = Server(ours, upkeep)
    server.connection.abandon()
    await server.wire.run(server.connection)
    assert server.gone == 1
    with pytest.raises(trio.BrokenResourceError):
        await theirs.send_all(b"x")
