"""What a client sends: messages in order, pings and pongs, and how much of it may wait."""

import attrs
import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from tests.server.builders import (
    Client,
    arrive,
    client_close,
    client_frame,
    client_text,
    connected,
    server_frame,
    server_text,
    splits,
)
from wsframework import CloseCode, Limits, WebSocketDisconnect
from wsframework.server.frames import Opcode
from wsframework.server.upkeep import Upkeep

LIMITS = Limits()


def pong(payload: bytes = b"") -> bytes:
    return server_frame(Opcode.PONG, payload)


def ping(payload: bytes = b"") -> bytes:
    return client_frame(Opcode.PING, payload)


async def receive(client: Client, number: int) -> list[str | bytes]:
    return [await client.connection.receive() for _ in range(number)]


# Messages


async def test_messages_in_order() -> None:
    """Text is a string, binary is bytes, an empty message is a message."""
    client = await connected()
    client.sends(client_text("one"), client_frame(Opcode.BINARY, b"\xff"), client_text(""))
    client.sends(client_frame(Opcode.BINARY))
    assert await receive(client, 4) == ["one", b"\xff", "", b""]


async def test_a_message_in_single_bytes() -> None:
    """It is handed out when it is whole."""
    client = await connected()
    data = client_text("one") + client_text("two")
    for piece in splits(data, range(len(data))):
        client.sends(piece)
    assert await receive(client, 2) == ["one", "two"]


async def test_receive_waits(nursery: trio.Nursery) -> None:
    """A message that arrives wakes the one who waits for it."""
    client = await connected()
    got: list[str | bytes] = []

    async def wait() -> None:
        got.extend(await receive(client, 2))

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    client.sends(client_text("one"))
    await wait_all_tasks_blocked()
    assert got == []
    client.sends(client_text("two"))
    await wait_all_tasks_blocked()
    assert got == ["one", "two"]


async def test_two_tasks_receive(nursery: trio.Nursery) -> None:
    """The second one is told that this cannot be, and the first one still gets its message."""
    client = await connected()
    got: list[str | bytes] = []

    async def wait() -> None:
        got.append(await client.connection.receive())

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    with pytest.raises(trio.BusyResourceError, match="another task is already receiving"):
        await client.connection.receive()
    client.sends(client_text("one"))
    await wait_all_tasks_blocked()
    assert got == ["one"]


async def test_a_message_taken_under_the_nose_of_a_waiter(nursery: trio.Nursery) -> None:
    """A task that was woken for a message which another took in the meantime waits on."""
    client = await connected()
    got: list[str | bytes] = []

    async def wait() -> None:
        got.append(await client.connection.receive())

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    client.sends(client_text("one"))
    assert await client.connection.receive() == "one"
    await wait_all_tasks_blocked()
    assert got == []
    client.sends(client_text("two"))
    await wait_all_tasks_blocked()
    assert got == ["two"]


@pytest.mark.parametrize("state", ["waiting", "woken", "there"])
async def test_a_cancelled_receive_loses_nothing(state: str, nursery: trio.Nursery) -> None:
    """The next call returns what the cancelled one would have."""
    client = await connected()
    scope = trio.CancelScope()

    async def wait() -> None:
        with scope:
            await client.connection.receive()

    if state == "there":
        client.sends(client_text("one"))
        scope.cancel()
    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    if state == "woken":
        client.sends(client_text("one"))
        scope.cancel()
        await wait_all_tasks_blocked()
        # It was on its way already, so this one got it: cancellation comes with the next checkpoint.
        assert not scope.cancelled_caught
        client.sends(client_text("one"))
    elif state == "waiting":
        scope.cancel()
        await wait_all_tasks_blocked()
        assert scope.cancelled_caught
        client.sends(client_text("one"))
    assert await client.connection.receive() == "one"


async def test_receive_is_a_checkpoint_at_the_latest_after_a_burst(upkeep: Upkeep) -> None:
    """Messages that are there already do not keep other tasks from running for ever, nor cancellation from coming."""
    client = await connected(upkeep, Limits(inbox_messages=1000))
    client.sends(client_text("x") * 200)
    await wait_all_tasks_blocked()
    for _ in range(6):
        with assert_checkpoints():
            await receive(client, 32)

    with trio.CancelScope() as scope:
        scope.cancel()
        await client.connection.receive()
    assert scope.cancelled_caught


async def test_late_messages_are_counted() -> None:
    """The session hears of each message that is handed out after the end, so that it can renew the grace."""
    client = await connected()
    client.sends(client_text("one"), client_text("two"), client_close(1000))
    late: list[int] = []
    client.connection.on_late_message = lambda: late.append(1)
    await receive(client, 2)
    assert len(late) == 2


# Pings and pongs


@pytest.mark.parametrize("payload", [b"", b"?", b"x" * 125])
async def test_a_ping_is_answered(payload: bytes) -> None:
    """At once, by a pong with the same payload, and no endpoint hears of it."""
    client = await connected()
    client.sends(ping(payload))
    assert client.gets() == pong(payload)


async def test_a_pong_is_not() -> None:
    """Whether anybody asked for it or not (section 5.5.3)."""
    client = await connected()
    client.sends(client_frame(Opcode.PONG, b"!"))
    assert client.gets() == b""


async def test_pings_among_messages() -> None:
    """Pongs do not wait for the endpoint, and those for one read leave in one write."""
    client = await connected()
    client.sends(ping(b"1"), client_text("one"), ping(b"2"), client_frame(Opcode.TEXT, b"tw", fin=False), ping(b"3"))
    assert client.wire.writes == [pong(b"1") + pong(b"2") + pong(b"3")]
    client.sends(client_frame(Opcode.CONTINUATION, b"o"))
    assert await receive(client, 2) == ["one", "two"]


async def test_a_ping_takes_gathered_replies_along(upkeep: Upkeep) -> None:
    """Replies that wait for a tick keep their place before the pong."""
    client = await connected(upkeep)
    client.sends(client_text("one"), client_text("two"))
    await client.connection.receive()
    await client.connection.send("reply")
    client.sends(ping(b"?"))
    assert client.gets() == server_text("reply") + pong(b"?")


async def test_f21_a_flood_of_pings_from_a_client_that_does_not_read() -> None:
    """One pong waits for it, that of the newest ping, behind what waited before."""
    client = await connected()
    client.falls_behind(server_text("one"))
    for number in range(1000):
        client.sends(ping(str(number).encode()) * 10)
    client.takes()
    assert client.gets() == server_text("one") + pong(b"999")
    client.sends(ping(b"again"))
    assert client.gets() == pong(b"again")


async def test_a_pong_that_waits_again() -> None:
    """The late pong itself may not fit; it is finished before anything else, and newer pings replace none of it."""
    client = await connected()
    client.falls_behind(server_text("one"))
    client.sends(ping(b"late"))
    client.takes(len(server_text("one")) + 2)
    client.sends(ping(b"later"))
    client.takes()
    assert client.gets() == server_text("one") + pong(b"late") + pong(b"later")


async def test_a_socket_that_breaks_under_a_late_pong() -> None:
    """The client is gone, once."""
    client = await connected()
    client.falls_behind(server_text("one"))
    client.sends(ping())
    client.wire.broken = True
    client.takes()
    assert client.connection.close_code == CloseCode.ABNORMAL_CLOSURE
    assert client.gone == [client.connection]

    client = await connected()
    client.falls_behind(server_text("one"))
    client.sends(ping())
    send = client.wire.send

    def break_behind_the_message(data: bytes | memoryview) -> int:
        client.wire.broken = bytes(data) == pong()
        return send(data)

    client.wire.send = break_behind_the_message  # type: ignore[method-assign]
    client.takes()
    assert client.gets() == server_text("one")
    assert client.gone == [client.connection]


# How much may wait


async def test_the_inbox_is_bounded_in_messages() -> None:
    """At the bound reading stops; it goes on when half of it has been handled."""
    client = await connected(limits=attrs.evolve(LIMITS, inbox_messages=10))
    for _ in range(9):
        client.sends(client_text("x"))
    assert not client.wire.held
    client.sends(client_text("x"))
    assert client.wire.held
    await receive(client, 4)
    assert client.wire.held
    await receive(client, 1)
    assert not client.wire.held
    client.sends(client_text("x") * 5)
    assert client.wire.held


async def test_a_read_that_was_on_its_way() -> None:
    """What was already read when reading stopped is taken in all the same."""
    client = await connected(limits=attrs.evolve(LIMITS, inbox_messages=2))
    client.sends(client_text("one") + client_text("two"))
    client.sends(client_text("three"))
    assert client.wire.held
    assert await receive(client, 3) == ["one", "two", "three"]
    assert not client.wire.held


async def test_an_inbox_of_one() -> None:
    """The smallest bound works."""
    client = await connected(limits=attrs.evolve(LIMITS, inbox_messages=1))
    for word in ("one", "two", "three"):
        client.sends(client_text(word))
        assert client.wire.held
        assert await client.connection.receive() == word
        assert not client.wire.held


async def test_the_inbox_is_bounded_in_bytes() -> None:
    """At the bound reading stops, however few messages it is; it goes on when they have been handled."""
    client = await connected(limits=attrs.evolve(LIMITS, inbox_bytes=1000))
    client.sends(client_frame(Opcode.BINARY, b"x" * 400))
    client.sends(client_frame(Opcode.BINARY, b"x" * 400))
    assert not client.wire.held
    client.sends(client_frame(Opcode.BINARY, b"x" * 400))
    assert client.wire.held
    await receive(client, 2)
    assert client.wire.held
    await receive(client, 1)
    assert not client.wire.held


async def test_bytes_are_counted_from_the_last_empty_inbox() -> None:
    """What was handled long ago does not count."""
    client = await connected(limits=attrs.evolve(LIMITS, inbox_bytes=1000))
    for _ in range(20):
        client.sends(client_frame(Opcode.BINARY, b"x" * 800))
        assert not client.wire.held
        await client.connection.receive()


async def test_a_large_message_alone_does_not_stop_reading() -> None:
    """A message that is still arriving is bounded by its own limit: to stop in the middle of it would be for ever."""
    client = await connected(limits=attrs.evolve(LIMITS, inbox_bytes=1000))
    data = client_frame(Opcode.BINARY, b"x" * 10_000)
    for piece in splits(data, range(0, len(data), 500)):
        assert not client.wire.held
        client.sends(piece)
    assert await client.connection.receive() == b"x" * 10_000
    assert not client.wire.held


async def test_a_receiver_takes_from_a_full_inbox(nursery: trio.Nursery) -> None:
    """One read can fill the inbox under a task that waits for it."""
    client = await connected(limits=attrs.evolve(LIMITS, inbox_messages=2))
    got: list[str | bytes] = []

    async def wait() -> None:
        got.extend(await receive(client, 5))

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    client.sends(client_text("x") * 5)
    assert client.wire.held
    await wait_all_tasks_blocked()
    assert len(got) == 5
    assert not client.wire.held


async def test_a_client_that_hangs_up_behind_a_full_inbox() -> None:
    """The session is told at once, what had come is handed out, and the end shows when it is read."""
    client = await connected(limits=attrs.evolve(LIMITS, inbox_messages=2))
    told: list[bool] = []
    client.connection.on_end = told.append
    client.sends(client_text("one"), client_text("two"))
    client.connection.hung_up()
    client.connection.hung_up()
    assert told == [False]
    assert client.connection.close_code is None
    assert await receive(client, 2) == ["one", "two"]
    assert not client.wire.held
    client.leaves()
    with pytest.raises(WebSocketDisconnect, match="1006"):
        await client.connection.receive()
    assert told == [False]
    assert client.gone == [client.connection]


async def test_a_client_that_hangs_up_behind_its_close_frame() -> None:
    """The session knows already."""
    client = await connected(limits=attrs.evolve(LIMITS, inbox_messages=2))
    told: list[bool] = []
    client.connection.on_end = told.append
    client.sends(client_text("one"), client_text("two"), client_close(4000))
    assert told == [False]
    assert client.wire.held
    client.connection.hung_up()
    assert told == [False]
    assert await receive(client, 2) == ["one", "two"]
    assert not client.wire.held


async def test_hung_up_before_a_session_listens() -> None:
    """Nobody is told, and nothing breaks."""
    client = arrive()
    client.connection.hung_up()
    assert client.connection.close_code is None


async def test_receive_after_the_end_is_a_checkpoint() -> None:
    """A loop that ignores the disconnect can be cancelled (row F33)."""
    client = await connected()
    client.leaves()
    for _ in range(3):
        with assert_checkpoints(), pytest.raises(WebSocketDisconnect):
            await client.connection.receive()
