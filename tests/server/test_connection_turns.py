"""A read that holds more than may be handled at once: the rest has its turn a tick later, and keeps its place."""

import zlib

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.builders import (
    Client,
    arrive,
    client_close,
    client_frame,
    client_text,
    connected,
    end_of,
    listen_for_end,
    read_frames,
    receive_end,
)
from wsframework import CloseCode, Deflate, Limits
from wsframework.server.frames import Opcode
from wsframework.server.upkeep import Upkeep

TURN = 64
KIB = 1024
PING = client_frame(Opcode.PING)


async def receive(client: Client, count: int) -> list[str | bytes]:
    return [await client.connection.receive() for _ in range(count)]


def numbers(count: int) -> bytes:
    return b"".join(client_text(str(number)) for number in range(count))


async def test_pings_in_turns(upkeep: Upkeep) -> None:
    """Each is answered, though they fill no inbox; the wire is held for as long as some wait."""
    client = await connected(upkeep)
    client.sends(PING * 1000)
    assert len(read_frames(client.gets())) == TURN
    assert client.wire.held
    await wait_all_tasks_blocked()
    assert len(read_frames(client.gets())) == 1000 - TURN
    assert not client.wire.held


async def test_clients_take_turns(upkeep: Upkeep) -> None:
    """Each tick serves a few of them, each client in its order, and all of them in the end."""
    clients = [await connected(upkeep) for _ in range(40)]
    for client in clients:
        client.sends(PING * 200)
    await wait_all_tasks_blocked()
    assert [len(read_frames(client.gets())) for client in clients] == [200] * 40


async def test_messages_wait_for_room(upkeep: Upkeep) -> None:
    """Behind a full inbox the rest waits for the endpoint, and every message comes in order."""
    client = await connected(upkeep)
    client.sends(numbers(1000))
    await wait_all_tasks_blocked()
    inbox = client.connection._inbox
    assert inbox is not None
    assert len(inbox) == TURN
    assert await receive(client, 1000) == [str(number) for number in range(1000)]
    await wait_all_tasks_blocked()
    assert not client.wire.held


async def test_more_bytes_while_a_rest_waits(upkeep: Upkeep) -> None:
    """Some wires hand over what they had taken before they were held; it goes behind the rest."""
    client = await connected(upkeep)
    client.sends(numbers(100))
    client.sends(client_text("more"))
    assert await receive(client, 101) == [*(str(number) for number in range(100)), "more"]


async def test_a_close_frame_behind_a_rest(upkeep: Upkeep) -> None:
    """It ends the connection with its code, behind the messages before it."""
    client = await connected(upkeep)
    client.sends(numbers(200), client_close(4000, "bye"))
    assert await receive(client, 200) == [str(number) for number in range(200)]
    assert await receive_end(client) == (4000, "bye")


@pytest.mark.parametrize("by", ["end of file", "reset", "hang-up"])
async def test_a_client_that_leaves_behind_a_rest(upkeep: Upkeep, by: str) -> None:
    """Its close frame is read first, so the code is its own."""
    client = await connected(upkeep, Limits(inbox_messages=1000))
    told = listen_for_end(client)
    client.sends(numbers(100), client_close(4000))
    match by:
        case "end of file":
            client.leaves()
        case "reset":
            client.wire.broken = True
            await client.connection.send("to nobody")
            client.connection.flush()
        case _:
            client.connection.hung_up()
    assert told == []
    assert await receive(client, 100) == [str(number) for number in range(100)]
    assert await receive_end(client) == (4000, "")
    assert told == [False]
    assert end_of(client) == (4000, "")


async def test_a_client_that_leaves_without_a_word_behind_a_rest(upkeep: Upkeep) -> None:
    """The connection is gone when the rest is read, with 1006."""
    client = await connected(upkeep)
    client.sends(numbers(100))
    client.leaves()
    assert client.gone == []
    assert len(await receive(client, 100)) == 100
    assert await receive_end(client) == (CloseCode.ABNORMAL_CLOSURE, "the client left without a close frame")
    assert client.gone == [client.connection]


async def test_a_client_that_leaves_while_nobody_takes_its_messages(upkeep: Upkeep) -> None:
    """The session hears of it as soon as the rest does not go on by itself."""
    client = await connected(upkeep)
    told = listen_for_end(client)
    client.sends(PING * 100, numbers(100))
    client.leaves()
    assert told == []
    await wait_all_tasks_blocked()
    assert told == [False]
    assert client.gone == []
    client.connection.finish(CloseCode.NORMAL_CLOSURE)
    assert client.gone == [client.connection]
    assert client.connection.close_code == CloseCode.ABNORMAL_CLOSURE


async def test_our_close_before_a_rest(upkeep: Upkeep) -> None:
    """The messages in it are thrown away, and the client's answer is found."""
    client = await connected(upkeep)
    client.sends(numbers(1000), client_close(4000))
    await client.connection.close(4000)
    assert client.wire.shut == 0
    await wait_all_tasks_blocked()
    assert client.wire.shut == 1
    assert not client.wire.held


async def test_a_connection_that_is_lost_forgets_its_rest(upkeep: Upkeep) -> None:
    """Its turn comes, and there is nothing to do."""
    client = await connected(upkeep)
    client.sends(PING * 1000)
    client.gets()
    client.connection.abandon()
    await wait_all_tasks_blocked()
    assert client.gets() == b""
    assert client.wire.held


async def test_a_rest_costs_what_its_messages_cost(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """A client in debt waits with its rest, and comes at its rate."""
    client = await connected(upkeep, Limits(messages_per_second=100, inbox_messages=1000))
    client.sends(numbers(400))
    await trio.sleep(0.01)
    assert client.connection.messages_in == 2 * TURN
    await trio.sleep(3)
    assert client.connection.messages_in == 400
    assert not client.wire.held


async def compressing(upkeep: Upkeep, limits: Limits) -> Client:
    client = arrive(upkeep, limits, fields=[b"Sec-WebSocket-Extensions: permessage-deflate"], compression=Deflate())
    await client.connection.accept()
    client.gets()
    return client


def bomb(size: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    payload = compressor.compress(bytes(size)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return client_frame(Opcode.BINARY, payload[:-4], reserved=4)


async def test_what_waits_is_counted_as_it_is_in_memory(upkeep: Upkeep) -> None:
    """Not as it was on the wire: the inbox takes its bound in bytes, and one message more."""
    client = await compressing(upkeep, Limits(inbox_bytes=256 * KIB))
    client.sends(bomb(100 * KIB) * 20)
    await wait_all_tasks_blocked()
    assert client.connection.messages_in == 3
    assert client.wire.held
    assert [len(message) for message in await receive(client, 20)] == [100 * KIB] * 20
    await wait_all_tasks_blocked()
    assert not client.wire.held


async def test_a_message_that_is_taken_makes_room_for_the_next(upkeep: Upkeep) -> None:
    """Also when each of them fills the inbox by itself."""
    client = await compressing(upkeep, Limits(inbox_bytes=64 * KIB))
    client.sends(bomb(100 * KIB) * 3)
    for seen in (1, 2, 3):
        await wait_all_tasks_blocked()
        assert client.connection.messages_in == seen
        await client.connection.receive()
