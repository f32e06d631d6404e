"""What goes to a client: whole frames in order, whatever the socket takes, whoever is cancelled."""

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from tests.server.builders import (
    cancel_when_blocked,
    client_text,
    connected,
    read_frames,
    server_frame,
    server_text,
)
from wsframework import WebSocketDisconnect
from wsframework.server.frames import PLAIN_FRAMES, Opcode, encode_message
from wsframework.server.upkeep import Upkeep


async def test_send() -> None:
    """Text and binary leave at once when nothing is in the way."""
    client = await connected()
    await client.connection.send("one")
    await client.connection.send(b"\xff")
    await client.connection.send("")
    assert client.wire.writes == [server_text("one"), server_frame(Opcode.BINARY, b"\xff"), server_text("")]
    assert not client.connection.behind


async def test_the_wire_format() -> None:
    """The hub encodes once for all connections."""
    client = await connected()
    assert client.connection.wire_format is PLAIN_FRAMES
    encoded = [PLAIN_FRAMES.encode("one"), PLAIN_FRAMES.encode(b"two")]
    assert client.connection.offer(PLAIN_FRAMES.join(encoded))
    assert client.gets() == server_text("one") + server_frame(Opcode.BINARY, b"two")


@pytest.mark.parametrize("message", [None, 7, "\ud800"])
async def test_a_message_that_is_none(message: object) -> None:
    """It is the programmer's mistake, and nothing has been sent."""
    client = await connected()
    with pytest.raises((TypeError, ValueError)):
        await client.connection.send(message)  # type: ignore[arg-type]
    assert client.gets() == b""
    await client.connection.send("x")
    assert client.gets() == server_text("x")


async def test_send_lets_others_run() -> None:
    """Sends that do not wait are a checkpoint every 32 messages, and for cancellation every time."""
    client = await connected()
    for _ in range(6):
        with assert_checkpoints():
            for _ in range(32):
                await client.connection.send("x")
    client.gets()

    with trio.CancelScope() as scope:
        scope.cancel()
        await client.connection.send("x")
    assert scope.cancelled_caught
    assert client.gets() == b""


async def test_f33_sending_to_nobody_is_a_checkpoint() -> None:
    """A loop that ignores the disconnect lets others run, and can be cancelled."""
    client = await connected()
    client.leaves()
    for _ in range(3):
        with assert_checkpoints(), pytest.raises(WebSocketDisconnect):
            await client.connection.send("x")


# A client that is behind


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
async def test_partial_writes_keep_the_order(step: int, nursery: trio.Nursery) -> None:
    """Whatever the socket takes at a time, every byte leaves once, and in order."""
    client = await connected()
    client.stops_reading()
    sent = ["x" * 300, "one", "", "two" * 50, "three"]
    done: list[str] = []

    async def send() -> None:
        for message in sent:
            await client.connection.send(message)
            done.append(message)

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    assert done == []
    assert client.connection.behind
    while len(done) < len(sent):
        client.takes(step)
        await wait_all_tasks_blocked()
    client.takes(step)
    assert client.gets() == b"".join(map(encode_message, sent))
    assert not client.connection.behind


async def test_room_that_nobody_has_told_of_yet() -> None:
    """When the socket has room again and the wire has not said so, what comes now does not overtake what waits."""
    client = await connected()
    client.falls_behind(server_text("one"))
    client.wire.room = None
    client.connection.offer(server_text("two"))
    assert client.gets() == b""
    client.takes()
    assert client.gets() == server_text("one") + server_text("two")


async def test_several_senders_wait(nursery: trio.Nursery) -> None:
    """Their messages leave whole, none before there is room, and all of them are woken."""
    client = await connected()
    client.stops_reading()
    done: list[str] = []

    async def send(message: str) -> None:
        await client.connection.send(message)
        done.append(message)

    for message in ("one", "two", "three"):
        nursery.start_soon(send, message)
        await wait_all_tasks_blocked()
    client.takes(4)
    await wait_all_tasks_blocked()
    assert done == []
    client.takes()
    await wait_all_tasks_blocked()
    assert sorted(done) == ["one", "three", "two"]
    frames = read_frames(client.gets())
    assert bytes(frames[0].data) == b"one"
    assert {bytes(frame.data) for frame in frames[1:]} == {b"two", b"three"}


@pytest.mark.parametrize("taken", [0, 1, 3])
async def test_a_cancelled_send_never_tears_a_frame(taken: int, nursery: trio.Nursery) -> None:
    """The message arrives whole although its sender has given up, and so does what comes behind it."""
    client = await connected()
    client.wire.room = taken
    with trio.CancelScope() as scope:
        nursery.start_soon(cancel_when_blocked, scope)
        await client.connection.send("cancelled")
    assert scope.cancelled_caught
    assert len(client.wire.sent) == taken
    client.takes(4)
    client.takes()
    await client.connection.send("next")
    assert client.gets() == server_text("cancelled") + server_text("next")


async def test_a_cancelled_sender_leaves_the_others_waiting(nursery: trio.Nursery) -> None:
    """Nobody misses the moment when the client has caught up."""
    client = await connected()
    client.stops_reading()
    done: list[str] = []

    async def send(message: str, scope: trio.CancelScope) -> None:
        with scope:
            await client.connection.send(message)
            done.append(message)

    scopes = [trio.CancelScope() for _ in range(4)]
    for number, scope in enumerate(scopes):
        nursery.start_soon(send, str(number), scope)
        await wait_all_tasks_blocked()
    scopes[0].cancel()  # its frame has begun
    scopes[1].cancel()  # its frame has not
    await wait_all_tasks_blocked()
    client.takes()
    await wait_all_tasks_blocked()
    assert sorted(done) == ["2", "3"]
    # What was queued arrives whole and in order, whether somebody still waits for it or not.
    assert [bytes(frame.data) for frame in read_frames(client.gets())] == [b"0", b"1", b"2", b"3"]


async def test_cancelled_sends_do_not_pile_up(autojump_clock: MockClock) -> None:
    """An endpoint that gives up on a slow client and tries again leaves it some messages, not one per attempt."""
    client = await connected()
    client.stops_reading()
    for number in range(100):
        with trio.move_on_after(0.1):
            await client.connection.send(str(number))
    client.takes()
    assert client.gets() == b"".join(server_text(str(number)) for number in range(64))


async def test_f23_an_echo_to_a_client_that_never_reads(nursery: trio.Nursery) -> None:
    """The endpoint waits in send, so the inbox fills, and then reading stops: one reply and one inbox are held."""
    client = await connected()
    client.stops_reading()

    async def echo() -> None:
        while True:
            await client.connection.send(await client.connection.receive())

    nursery.start_soon(echo)
    await wait_all_tasks_blocked()
    reads = 0
    while not client.wire.held:
        client.sends(client_text("x"))
        reads += 1
        await wait_all_tasks_blocked()
        assert reads < 1000
    assert client.gets() == b""
    client.takes()
    await wait_all_tasks_blocked()
    assert not client.wire.held
    assert client.gets() == server_text("x") * reads


# Replies gather


async def test_replies_gather_and_leave_in_one_write() -> None:
    """While more messages wait to be handled replies are kept; with the last one all leave, joined."""
    client = await connected()
    client.sends(client_text("x") * 5)
    for number in range(5):
        assert client.wire.writes == []
        await client.connection.receive()
        await client.connection.send(str(number))
    assert client.wire.writes == [b"".join(server_text(str(number)) for number in range(5))]


async def test_not_too_many_replies_gather() -> None:
    """64 leave without waiting for more."""
    client = await connected()
    client.sends(client_text("x") * 100)
    for _ in range(64):
        await client.connection.receive()
        await client.connection.send("y")
    assert client.wire.writes == [server_text("y") * 64]


async def test_gathered_replies_leave_a_tick_later(upkeep: Upkeep) -> None:
    """Also when the endpoint is busy with something else for ever."""
    client = await connected(upkeep)
    await wait_all_tasks_blocked()
    client.sends(client_text("x") * 5)
    for _ in range(3):
        await client.connection.receive()
        await client.connection.send("y")
    assert client.gets() == b""
    await wait_all_tasks_blocked()
    assert client.gets() == server_text("y") * 3
    await client.connection.receive()
    await client.connection.send("z")
    await wait_all_tasks_blocked()
    assert client.gets() == server_text("z")


async def test_gathered_replies_meet_a_full_socket(upkeep: Upkeep, nursery: trio.Nursery) -> None:
    """Replies that gathered while the socket filled leave in order when it has room, with those behind them."""
    client = await connected(upkeep)
    client.sends(client_text("x") * 5)
    await client.connection.receive()
    client.wire.room = 4
    await client.connection.send("one")
    await client.connection.send("two")
    await wait_all_tasks_blocked()
    assert client.connection.behind
    nursery.start_soon(client.connection.send, "three")
    await wait_all_tasks_blocked()
    client.takes()
    await wait_all_tasks_blocked()
    assert client.gets() == server_text("one") + server_text("two") + server_text("three")


async def test_gathered_replies_of_a_client_that_leaves(upkeep: Upkeep) -> None:
    """They are dropped, and the flush that was asked for does nothing."""
    client = await connected(upkeep)
    client.sends(client_text("x") * 2)
    await client.connection.receive()
    await client.connection.send("one")
    client.leaves()
    await wait_all_tasks_blocked()
    assert client.gets() == b""


async def test_a_publication_does_not_overtake_replies(upkeep: Upkeep) -> None:
    """What the hub offers leaves behind the replies that had gathered."""
    client = await connected(upkeep)
    client.sends(client_text("x") * 2)
    await client.connection.receive()
    await client.connection.send("reply")
    assert client.connection.offer(server_text("news"))
    assert client.gets() == server_text("reply") + server_text("news")


async def test_a_sleeping_endpoint_and_time(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """Replies do not wait for the clock: they leave in the tick, and hours later nothing more comes."""
    client = await connected(upkeep)
    client.sends(client_text("x") * 2)
    await client.connection.receive()
    await client.connection.send("reply")
    before = trio.current_time()
    await wait_all_tasks_blocked()
    assert client.gets() == server_text("reply")
    assert trio.current_time() == before


async def test_replies_that_gather_behind_a_backlog(nursery: trio.Nursery) -> None:
    """When the client catches up before the tick is over, they leave then, and their sender is woken."""
    client = await connected()  # its upkeep does not run, so no tick ends
    client.sends(client_text("x") * 3)
    client.falls_behind(server_text("one"))
    await client.connection.receive()
    done = trio.Event()

    async def send() -> None:
        await client.connection.send("two")
        done.set()

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    client.takes(6)
    assert client.connection.behind
    assert not done.is_set()
    client.takes()
    assert client.gets() == server_text("one") + server_text("two")
    await done.wait()


async def test_a_socket_that_breaks_under_gathered_replies() -> None:
    """A publication that has them flushed finds nobody, and is dropped with them."""
    client = await connected()
    client.sends(client_text("x") * 2)
    await client.connection.receive()
    await client.connection.send("reply")
    client.wire.broken = True
    assert not client.connection.offer(server_text("news"))
    assert client.gets() == b""
    assert client.gone == [client.connection]
