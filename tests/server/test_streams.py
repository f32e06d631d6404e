"""A connection over a trio stream: the same as over a socket, with a task that reads and a task that writes."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.builders import client_frame, client_text, server_text
from tests.server.served import Serve, read, start
from wsframework import Limits, WebSocketDisconnect
from wsframework.server.frames import Opcode, encode_message

LIMITS = Limits(ping_interval=None)
KIB = 1024


# Messages


async def test_messages_both_ways(serve: Serve) -> None:
    """What the client sends is received, what is sent arrives."""
    server, client = await start(serve)
    await client.send_all(client_text("one") + client_text("two"))
    assert [await server.connection.receive() for _ in range(2)] == ["one", "two"]
    await server.connection.send("three")
    await server.connection.send("four")
    assert await read(client, 13) == server_text("three") + server_text("four")


@pytest.mark.parametrize("size", [1, 64 * KIB - 10, 64 * KIB, 64 * KIB + 1, 1000 * KIB])
async def test_messages_of_all_sizes(serve: Serve, size: int, nursery: trio.Nursery) -> None:
    """Whatever the stream takes at a time, every byte arrives once and in order."""
    server, client = await start(serve, window=10 * KIB)
    message = bytes(range(250)) * (size // 250) + b"x" * (size % 250)
    expected = encode_message(message) + server_text("and") + encode_message(message)

    async def send() -> None:
        for each in (message, "and", message):
            await server.connection.send(each)

    nursery.start_soon(send)
    assert await read(client, len(expected)) == expected


async def test_a_large_message_waits_for_a_slow_client(serve: Serve, nursery: trio.Nursery) -> None:
    """Its sender waits, as it would for a socket."""
    server, client = await start(serve, window=10 * KIB)
    message = b"x" * 1000 * KIB
    done = trio.Event()

    async def send() -> None:
        await server.connection.send(message)
        done.set()

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    assert server.connection.behind
    assert not done.is_set()
    await read(client, len(encode_message(message)))
    await done.wait()
    await wait_all_tasks_blocked()
    assert not server.connection.behind


async def test_reading_stops_at_a_full_inbox(serve: Serve, nursery: trio.Nursery) -> None:
    """The client is made to wait, and reading goes on when there is room."""
    server, client = await start(serve, Limits(inbox_messages=2, ping_interval=None), window=100)
    sent = 0

    async def send() -> None:
        nonlocal sent
        while True:
            await client.send_all(client_frame(Opcode.BINARY, b"x" * 94))  # 100 bytes: a window
            sent += 1

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    assert sent < 6
    for _ in range(100):
        assert await server.connection.receive() == b"x" * 94
    assert 100 <= sent < 106


# Deadlines


async def test_a_client_that_takes_nothing(serve: Serve, autojump_clock: MockClock) -> None:
    """It is cut off after the write timeout, also when it is one large message that does not get through."""
    server, _ = await start(serve, window=KIB)
    with pytest.raises(WebSocketDisconnect, match="took too little in 10 s"):
        await server.connection.send(b"x" * 1000 * KIB)
    assert trio.current_time() == pytest.approx(10)
    await server.ended.wait()
    assert server.gone == 1


async def test_x9_progress_inside_a_message(serve: Serve, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """A client that takes its time over a large message makes progress, and is not cut off for what waits behind it."""
    server, client = await start(serve, window=KIB)
    message = b"x" * 1000 * KIB
    expected = encode_message(message) + server_text("behind")

    async def send() -> None:
        await server.connection.send(message)

    async def send_behind() -> None:
        await wait_all_tasks_blocked()
        await server.connection.send("behind")

    nursery.start_soon(send)
    nursery.start_soon(send_behind)
    taken = b""
    while len(taken) < len(expected):
        await trio.sleep(1)
        taken += await read(client, min(16 * KIB, len(expected) - len(taken)))
    assert trio.current_time() > 60
    assert taken == expected
    assert not server.connection.gone
