"""The clocks of a connection: writes that get nowhere, clients that are silent. All on virtual time."""

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.builders import (
    Client,
    arrive,
    client_frame,
    client_text,
    connected,
    server_close,
    server_frame,
    server_text,
)
from wsframework import CloseCode, Limits, WebSocketDisconnect
from wsframework.server.frames import Opcode
from wsframework.server.upkeep import Upkeep

# Times of their own for each clock, so that no two deadlines are the same by accident.
LIMITS = Limits(write_timeout=10, close_timeout=5, ping_interval=None)
PINGING = attrs.evolve(LIMITS, ping_interval=20, ping_timeout=15)
KIB = 1024
PING = server_frame(Opcode.PING)
PONG = client_frame(Opcode.PONG)


@pytest.fixture
async def client(upkeep: Upkeep) -> Client:
    return await connected(upkeep, LIMITS)


@pytest.fixture
async def pinged(upkeep: Upkeep) -> Client:
    return await connected(upkeep, PINGING)


async def until(time: float) -> None:
    """Sleep until a moment after that time, so that what is due then has happened."""
    await trio.sleep_until(time + 0.001)


# Writing


async def test_f23_a_client_that_takes_nothing(
    client: Client, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """It is cut off after the write timeout, and the send that waited for it is told why."""
    client.stops_reading()
    start = trio.current_time()
    with pytest.raises(WebSocketDisconnect) as caught:
        await client.connection.send("x" * 100)
    assert trio.current_time() == start + 10
    assert (caught.value.code, caught.value.reason) == (1006, "the client took too little in 10 s")
    assert client.wire.closed == 1
    assert client.gone == [client.connection]


async def test_a_client_that_takes_all_in_time(client: Client, autojump_clock: MockClock) -> None:
    """The deadline is over when the backlog is empty, and the next one begins anew."""
    for _ in range(3):
        client.falls_behind(server_text("x"))
        await trio.sleep(9)
        client.takes()
        await trio.sleep(100)
        assert not client.connection.gone


async def test_progress_renews_the_deadline(client: Client, autojump_clock: MockClock) -> None:
    """Who takes 64 KiB in time may take as long as it needs for all of it."""
    client.falls_behind(b"x" * 1000 * KIB)
    for _ in range(15):
        await trio.sleep(9)
        client.takes(64 * KIB)
        assert not client.connection.gone
    await until(trio.current_time() + 10)
    assert client.connection.gone
    assert len(client.gets()) == 15 * 64 * KIB


async def test_small_progress_adds_up(client: Client, autojump_clock: MockClock) -> None:
    """It need not be taken at once."""
    client.falls_behind(b"x" * 1000 * KIB)
    for _ in range(30):
        await trio.sleep(2)
        client.takes(16 * KIB)
    assert not client.connection.gone


async def test_x9_too_small_progress_does_not(client: Client, autojump_clock: MockClock) -> None:
    """Who takes a little at a time, to be kept, is cut off all the same."""
    client.falls_behind(b"x" * 1000 * KIB)
    for _ in range(9):
        await trio.sleep(1)
        client.takes(KIB)
    assert not client.connection.gone
    await until(trio.current_time() + 1)
    assert client.connection.gone


async def test_old_progress_does_not_count(client: Client, autojump_clock: MockClock) -> None:
    """What was taken before the client fell behind again is no progress now."""
    client.falls_behind(b"x" * 60 * KIB)
    await trio.sleep(1)
    client.takes()
    client.falls_behind(b"x" * 1000 * KIB)
    await trio.sleep(9)
    client.takes(5 * KIB)
    await until(trio.current_time() + 1)
    assert client.connection.gone


async def test_progress_over_many_messages(client: Client, autojump_clock: MockClock) -> None:
    """It is bytes that count, not messages."""
    client.falls_behind(b"x" * 32 * KIB)
    for _ in range(9):
        client.connection.offer(b"x" * 32 * KIB)
    for _ in range(4):
        await trio.sleep(9)
        client.takes(64 * KIB)
    assert not client.connection.gone


async def test_what_waits_behind_our_close_frame(client: Client, autojump_clock: MockClock) -> None:
    """The close timeout is the only one then."""
    client.falls_behind(b"x" * 1000 * KIB)
    await trio.sleep(8)
    await client.connection.close()
    await trio.sleep(4.9)
    assert not client.connection.gone
    await trio.sleep(0.2)
    assert client.connection.gone


async def test_a_client_that_still_takes_what_waits_is_not_cut(client: Client, autojump_clock: MockClock) -> None:
    """Progress renews the close timeout, too; it begins anew when our close frame has left."""
    client.falls_behind(b"x" * 256 * KIB)
    await client.connection.close()
    for _ in range(4):
        await trio.sleep(4.9)
        assert not client.connection.gone
        client.takes(64 * KIB)
    client.takes()
    assert client.gets().endswith(server_close(1000))
    await trio.sleep(4.9)
    assert not client.connection.gone
    await trio.sleep(0.2)
    assert client.connection.gone


async def test_a_client_that_takes_too_little_of_what_waits_is_cut(client: Client, autojump_clock: MockClock) -> None:
    """Behind our close frame as well it has to take 64 KiB in time."""
    client.falls_behind(b"x" * 256 * KIB)
    await client.connection.close()
    await trio.sleep(2)
    client.takes(64 * KIB)
    await trio.sleep(4)
    client.takes(64 * KIB - 1)
    await trio.sleep(0.9)
    assert not client.connection.gone
    await trio.sleep(0.2)
    assert client.connection.gone


async def test_a_refusal_that_is_not_taken(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """A client that does not even read the answer to its handshake is cut off."""
    client = arrive(upkeep, LIMITS)
    client.stops_reading()
    await client.connection.accept()
    await until(10)
    assert client.connection.gone


# Keeping alive


async def test_a_silent_client_is_pinged_and_cut_off(pinged: Client, autojump_clock: MockClock) -> None:
    """After the interval it gets a ping; without any answer to it, it is lost (section 5.5.2)."""
    await until(19.9)
    assert pinged.gets() == b""
    await until(20)
    assert pinged.gets() == PING
    await until(34.9)
    assert not pinged.connection.gone
    await until(35)
    assert pinged.connection.gone
    assert pinged.connection.close_code == CloseCode.ABNORMAL_CLOSURE
    assert pinged.connection.close_reason == "the client answered no ping for 15 s"
    assert pinged.gone == [pinged.connection]
    assert pinged.gets() == b""


@pytest.mark.parametrize("answer", [PONG, client_text("x"), client_frame(Opcode.PING), b"\x81"])
async def test_any_byte_is_an_answer(pinged: Client, answer: bytes, autojump_clock: MockClock) -> None:
    """Whatever comes shows that the client is there; it is pinged again when it has been silent again."""
    await until(20)
    assert pinged.gets() == PING
    await until(34)
    pinged.sends(answer)
    pinged.gets()
    await until(35 + 19)
    assert pinged.gets() == b""
    await until(35 + 20)
    assert pinged.gets() == PING
    await until(35 + 20 + 15)
    assert pinged.connection.gone


async def test_a_client_that_talks_is_not_pinged(pinged: Client, autojump_clock: MockClock) -> None:
    """Nobody needs to ask."""
    for _ in range(20):
        await trio.sleep(10)
        pinged.sends(PONG)
    assert pinged.gets() == b""


async def test_a_client_that_answers_lives(pinged: Client, autojump_clock: MockClock) -> None:
    """For as long as it likes."""
    for _ in range(1000):
        await trio.sleep(10)
        if pinged.gets() == PING:
            pinged.sends(PONG)
    assert not pinged.connection.gone


async def test_no_pings_when_switched_off(client: Client, autojump_clock: MockClock) -> None:
    """Then silence is no sign of anything."""
    await trio.sleep(10_000)
    assert client.gets() == b""
    assert not client.connection.gone


async def test_a_client_that_is_held_is_not_blamed(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """While the inbox is full nothing is read, so its silence is ours."""
    client = await connected(upkeep, attrs.evolve(PINGING, inbox_messages=2))
    client.sends(client_text("x") * 2)
    assert client.wire.held
    await trio.sleep(1000)
    assert not client.connection.gone
    await client.connection.receive()
    assert not client.wire.held
    # From here on it is asked again, and has the whole time to answer.
    asked = trio.current_time()
    while not client.gets():  # noqa: ASYNC110 - the fake wire tells nobody
        await trio.sleep(0.5)
    assert trio.current_time() <= asked + 2 * 20
    await trio.sleep(14)
    assert not client.connection.gone
    await trio.sleep(2)
    assert client.connection.gone


async def test_a_client_that_is_held_after_its_ping(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """Its pong may wait in the socket behind the messages that fill the inbox."""
    client = await connected(upkeep, attrs.evolve(PINGING, inbox_messages=2))
    await until(20)
    assert client.gets() == PING
    client.sends(client_text("x") * 2)
    await trio.sleep(1000)
    assert not client.connection.gone


async def test_a_ping_behind_a_backlog(pinged: Client, autojump_clock: MockClock) -> None:
    """It waits its turn like everything else; a client that takes nothing has met the write deadline by then."""
    await trio.sleep(15)
    pinged.falls_behind(server_text("x"))
    await until(24)
    pinged.takes()
    assert pinged.gets() == server_text("x") + PING


async def test_looking_too_early_changes_nothing(pinged: Client, autojump_clock: MockClock) -> None:
    """The sweeper may look at a connection for another of its clocks, or for none."""
    start = trio.current_time()
    assert pinged.connection.sweep(start + 1) == start + 20
    assert pinged.gets() == b""
    assert pinged.connection.sweep(start + 20) == start + 20 + 15
    assert pinged.gets() == PING
    assert pinged.connection.sweep(start + 30) == start + 20 + 15
    assert pinged.gets() == b""
    assert not pinged.connection.gone


async def test_pings_end_with_the_connection(pinged: Client, autojump_clock: MockClock) -> None:
    """Neither a client that closes nor one that we close is asked any more."""
    await pinged.connection.close()
    assert pinged.gets() == server_close(1000)
    await trio.sleep(100)
    assert pinged.gets() == b""


async def test_no_pings_behind_our_close_frame(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """A client that has long to answer it is not asked in between, nor cut off for its silence."""
    client = await connected(upkeep, attrs.evolve(PINGING, close_timeout=100))
    await client.connection.close()
    assert client.gets() == server_close(1000)
    await trio.sleep(99)
    assert client.gets() == b""
    assert not client.connection.gone
    await trio.sleep(2)
    assert client.connection.gone


async def test_a_socket_that_breaks_under_a_ping(pinged: Client, autojump_clock: MockClock) -> None:
    """The sweep finds it, and the sweeper goes on."""
    pinged.wire.broken = True
    await until(20)
    assert pinged.connection.gone
    assert pinged.gone == [pinged.connection]
    await trio.sleep(100)


async def test_pings_begin_with_accept(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """Before, there is no WebSocket that could be pinged, however long the endpoint thinks."""
    client = arrive(upkeep, PINGING)
    await trio.sleep(100)
    assert client.gets() == b""
    await client.connection.accept()
    client.gets()
    await trio.sleep(19)
    assert client.gets() == b""
    await trio.sleep(2)
    assert client.gets() == PING


async def test_a_ping_does_not_overtake_replies(pinged: Client, autojump_clock: MockClock) -> None:
    """Frames leave in the order in which they were made."""
    await wait_all_tasks_blocked()
    pinged.sends(client_text("x") * 2)
    await pinged.connection.receive()
    await pinged.connection.send("reply")
    pinged.connection.sweep(trio.current_time() + 20)  # it has been heard
    pinged.connection.sweep(trio.current_time() + 40)
    assert pinged.gets() == server_text("reply") + PING
