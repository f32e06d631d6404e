"""The connection breaks, and what calls do after its end."""

from math import inf

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.builders import (
    client_close,
    client_frame,
    client_text,
    connected,
    end_of,
    listen_for_end,
    receive_end,
    server_close,
    server_frame,
    server_text,
)
from wsframework import CloseCode, Limits, WebSocketDisconnect
from wsframework.errors import WebSocketStateError
from wsframework.server.frames import Opcode
from wsframework.server.upkeep import Upkeep

LIMITS = Limits()


# The connection breaks


async def test_the_client_leaves_without_a_word() -> None:
    """That is 1006, behind the messages that came before."""
    client = await connected()
    told = listen_for_end(client)
    client.sends(client_text("one"))
    client.leaves()
    assert told == [False]
    assert client.wire.closed == 1
    assert client.gone == [client.connection]
    assert await client.connection.receive() == "one"
    assert (await receive_end(client))[0] == CloseCode.ABNORMAL_CLOSURE
    assert client.gets() == b""


async def test_the_socket_breaks_under_a_send() -> None:
    """The send that meets it returns, since that could be a moment later as well; the next one raises."""
    client = await connected()
    client.wire.broken = True
    await client.connection.send("one")
    assert client.connection.gone
    with pytest.raises(WebSocketDisconnect, match="1006"):
        await client.connection.send("two")
    assert client.gone == [client.connection]


@pytest.mark.parametrize("by", ["writable", "leaving"])
async def test_a_sender_that_waits_is_told(by: str, nursery: trio.Nursery) -> None:
    """When the client is lost, what waited is gone, and every send that waited for it raises."""
    client = await connected()
    client.stops_reading()
    ends: list[str] = []

    async def send() -> None:
        with pytest.raises(WebSocketDisconnect) as caught:
            await client.connection.send("never")
        ends.append(str(caught.value))

    for _ in range(3):
        nursery.start_soon(send)
    await wait_all_tasks_blocked()
    if by == "writable":
        client.wire.broken = True
        client.takes()
    else:
        client.leaves()
    await wait_all_tasks_blocked()
    assert len(ends) == 3
    assert ends[0].startswith("1006")
    assert not client.connection.behind
    assert client.gone == [client.connection]


async def test_a_sender_that_waits_behind_the_end_is_told(nursery: trio.Nursery) -> None:
    """The client has closed, and is lost before it has taken what waits for it."""
    client = await connected()
    client.stops_reading()
    ended = trio.Event()

    async def send() -> None:
        with pytest.raises(WebSocketDisconnect, match="4000"):
            await client.connection.send("x")
            await client.connection.send("y")
        ended.set()

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    client.sends(client_text("unread"), client_close(4000))
    await wait_all_tasks_blocked()
    assert not ended.is_set()
    client.leaves()
    await ended.wait()


async def test_abandon() -> None:
    """The server can let go of the socket without a word."""
    client = await connected()
    client.connection.abandon()
    client.connection.abandon()
    assert client.gets() == b""
    assert client.wire.closed == 1
    assert client.gone == [client.connection]
    assert (await receive_end(client))[0] == 1006


# After the end


@pytest.mark.parametrize("how", ["leaves", "closes", "is closed"])
async def test_every_call_after_the_end(how: str, upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """Methods of the endpoint raise or do nothing, those of the wire, the hub and the upkeep do nothing."""
    client = await connected(upkeep)
    connection = client.connection
    match how:
        case "leaves":
            client.leaves()
        case "closes":
            client.sends(client_close(4000))
            client.leaves()
        case _:
            await connection.close(4000)
            client.leaves()
    client.gets()
    end = end_of(client)
    told = listen_for_end(client)

    for _ in range(2):
        assert await receive_end(client) == end
        with pytest.raises(WebSocketDisconnect):
            await connection.send("x")
        await connection.close(4001)
        with pytest.raises(WebSocketStateError):
            await connection.accept()
        with pytest.raises(WebSocketStateError):
            await connection.start_response(401, [])
        with pytest.raises(WebSocketStateError):
            await connection.send_body(b"", False)
        assert connection.offer(server_text("x"))
        assert not connection.behind
        connection.cut_off(4001)
        connection.finish(4001)
        connection.abandon()
        connection.flush()
        client.sends(client_text("x"), client_frame(Opcode.PING), client_close(4001))
        client.leaves()
        connection.hung_up()
        connection.writable()
        assert connection.sweep(trio.current_time()) == inf
    await trio.sleep(1000)

    assert client.gets() == b""
    assert end_of(client) == end
    assert told == []
    assert client.wire.closed == 1
    assert client.wire.shut <= 1
    assert client.gone == [connection]


async def test_nothing_goes_out_behind_our_close_frame() -> None:
    """A publication that comes too late, a reply that had gathered, and a ping: none overtakes or follows it."""
    client = await connected()
    client.sends(client_text("one"), client_text("two"))
    await client.connection.receive()
    await client.connection.send("gathered")
    await client.connection.close(4000)
    assert client.gets() == server_text("gathered") + server_close(4000)
    assert client.connection.offer(server_text("late"))
    client.sends(client_frame(Opcode.PING))
    client.connection.flush()
    client.connection.writable()
    assert client.gets() == b""


async def test_a_pong_that_waits_does_not_follow_our_close_frame() -> None:
    """It is dropped: the close frame is our last."""
    client = await connected()
    client.falls_behind(server_text("one"))
    client.sends(client_frame(Opcode.PING, b"?"))
    await client.connection.close(4000)
    client.takes()
    assert client.gets() == server_text("one") + server_close(4000)
    assert server_frame(Opcode.PONG, b"?") not in client.wire.sent
