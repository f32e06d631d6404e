"""A wire as a trio stream: what is received, what is sent, what is held back, and how it is given away or closed."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from tests.server.builders import StartableFakeWire, cancel_when_blocked, splits
from wsframework.server.streams import DeadlineStream
from wsframework.server.wire import RECEIVE_SIZE
from wsframework.server.wirestream import WireStream


@pytest.fixture
def wire() -> StartableFakeWire:
    return StartableFakeWire()


@pytest.fixture
def stream(wire: StartableFakeWire) -> WireStream:
    return WireStream(wire)


# Receiving


async def test_what_has_come_is_received(stream: WireStream) -> None:
    """In order, joined, and no more at a time than one asks for."""
    stream.received(b"one")
    stream.received(b"two")
    with assert_checkpoints():
        assert await stream.receive_some(4) == b"onet"
    with assert_checkpoints():
        assert await stream.receive_some() == b"wo"


async def test_receiving_waits(stream: WireStream, nursery: trio.Nursery) -> None:
    """Whoever receives waits until something comes; cancelled, it has taken nothing."""
    with trio.CancelScope() as scope:
        nursery.start_soon(cancel_when_blocked, scope)
        await stream.receive_some()
    assert scope.cancelled_caught
    stream.received(b"later")
    assert await stream.receive_some() == b"later"


async def test_an_end_is_received_for_ever(stream: WireStream, wire: StartableFakeWire) -> None:
    """What came before it comes first. The wire is held, or it would tell of the end again and again."""
    stream.received(b"last words")
    stream.received(b"")
    assert wire.held
    assert await stream.receive_some() == b"last words"
    assert [await stream.receive_some() for _ in range(3)] == [b""] * 3
    assert wire.held


async def test_an_end_wakes_who_receives(stream: WireStream, nursery: trio.Nursery) -> None:
    """It does not wait for something that will not come."""

    async def end() -> None:
        await wait_all_tasks_blocked()
        stream.received(b"")

    nursery.start_soon(end)
    assert await stream.receive_some() == b""


async def test_a_wire_is_held(stream: WireStream, wire: StartableFakeWire) -> None:
    """When as much as one read waits, no more is read until all of it was received."""
    stream.received(b"x" * (RECEIVE_SIZE - 1))
    assert not wire.held
    stream.received(b"x")
    assert wire.held
    await stream.receive_some(RECEIVE_SIZE - 1)
    assert wire.held
    await stream.receive_some()
    assert not wire.held


@given(
    data=st.binary(min_size=1, max_size=50),
    cuts=st.sets(st.integers(0, 50)),
    sizes=st.lists(st.integers(1, 9), min_size=1),
    end=st.booleans(),
)
def test_any_cutting_is_the_same(data: bytes, cuts: set[int], sizes: list[int], end: bool) -> None:
    """However the bytes come and however they are asked for, they are received once and in order."""

    async def receive() -> bytes:
        stream, received, turn = WireStream(StartableFakeWire()), b"", 0
        pieces = splits(data, (cut for cut in cuts if cut < len(data)))
        for piece in pieces:
            stream.received(piece)
            received += await stream.receive_some(sizes[turn % len(sizes)])
            turn += 1
        if end:
            stream.received(b"")
        while len(received) < len(data):
            received += await stream.receive_some(sizes[turn % len(sizes)])
            turn += 1
        if end:
            assert await stream.receive_some() == b""
        return received

    assert trio.run(receive) == data


# Sending


async def test_what_has_room_is_sent_at_once(stream: WireStream, wire: StartableFakeWire) -> None:
    """Nothing waits when the wire takes all."""
    with assert_checkpoints():
        await stream.send_all(b"hello")
    assert wire.sent == b"hello"
    assert not wire.wanted


async def test_sending_waits_for_room(stream: WireStream, wire: StartableFakeWire, nursery: trio.Nursery) -> None:
    """Every byte leaves once and in order, as the other side takes them."""
    wire.room = 2
    done = trio.Event()

    async def send() -> None:
        await stream.send_all(bytearray(b"abcdefg"))
        done.set()

    nursery.start_soon(send)
    for sent in (b"ab", b"abc", b"abcdef"):
        await wait_all_tasks_blocked()
        assert wire.sent == sent
        assert not done.is_set()
        wire.gets_room({b"ab": 1, b"abc": 3}.get(sent))
    await wait_all_tasks_blocked()
    assert done.is_set()
    assert wire.sent == b"abcdefg"


async def test_sending_waits_until_it_has_left(
    stream: WireStream, wire: StartableFakeWire, nursery: trio.Nursery
) -> None:
    """A wire that has taken all may still have some of it, as records of TLS; these leave first."""
    wire.behind = True
    done = trio.Event()

    async def send() -> None:
        await stream.send_all(b"abc")
        done.set()

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    assert not done.is_set()
    wire.behind = False
    wire.gets_room()
    await wait_all_tasks_blocked()
    assert done.is_set()
    assert wire.sent == b"abc"


@pytest.mark.parametrize("room", [None, 0])
async def test_sending_to_nobody(
    stream: WireStream, wire: StartableFakeWire, room: int | None, nursery: trio.Nursery
) -> None:
    """A wire that breaks, before or while one sends, is a broken stream."""
    wire.room, wire.broken = room, room is None

    async def break_it() -> None:
        await wait_all_tasks_blocked()
        wire.broken = True
        wire.gets_room()

    nursery.start_soon(break_it)
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"hello")


async def test_the_write_deadline(wire: StartableFakeWire, autojump_clock: MockClock) -> None:
    """A wire that takes nothing is closed when the time is over, and then says so to who receives."""
    stream = WireStream(wire)
    bounded = DeadlineStream(stream, 7)
    wire.room = 3
    began = trio.current_time()
    with pytest.raises(trio.BrokenResourceError, match="too little in 7 s"):
        await bounded.send_all(b"hello")
    assert trio.current_time() - began == pytest.approx(7)
    assert (wire.sent, wire.closed) == (b"hel", 1)
    with pytest.raises(trio.ClosedResourceError):
        await bounded.receive_some()


async def test_progress_moves_the_write_deadline(wire: StartableFakeWire, autojump_clock: MockClock) -> None:
    """A large answer may take longer than the deadline, if each of its pieces leaves in time."""
    stream = DeadlineStream(WireStream(wire), 7)
    pieces = 5
    wire.room = 0

    async def take() -> None:
        for _ in range(pieces):
            await trio.sleep(6)
            wire.gets_room(64 * 1024)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await stream.send_all(bytes(pieces * 64 * 1024))
    assert len(wire.sent) == pieces * 64 * 1024


async def test_end_of_sending(stream: WireStream, wire: StartableFakeWire) -> None:
    """Our direction ends, theirs goes on."""
    with assert_checkpoints():
        await stream.send_eof()
    assert (wire.shut, wire.closed) == (1, 0)
    stream.received(b"still")
    assert await stream.receive_some() == b"still"


async def test_the_other_side_goes_while_the_last_of_it_leaves(
    stream: WireStream, wire: StartableFakeWire, nursery: trio.Nursery
) -> None:
    """A wire that has taken all, but is behind, is asked whether that can still leave."""
    wire.behind = True

    async def reset() -> None:
        await wait_all_tasks_blocked()
        wire.broken = True
        stream.writable()

    nursery.start_soon(reset)
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"all of it")
    assert wire.sent == b"all of it"


# Giving the wire away


@pytest.mark.parametrize("size", [0, 5, RECEIVE_SIZE])
async def test_release(stream: WireStream, wire: StartableFakeWire, size: int) -> None:
    """Who gets the wire gets what was not received, and a wire that is read again."""
    stream.received(b"x" * (size + 3))
    assert await stream.receive_some(3) == b"xxx"
    assert stream.release() == b"x" * size
    assert not wire.held
    assert not wire.closed


async def test_release_after_the_end(stream: WireStream, wire: StartableFakeWire) -> None:
    """The wire is not held any more, so whoever has it next is told of the end by itself."""
    stream.received(b"left")
    stream.received(b"")
    assert stream.release() == b"left"
    assert not wire.held


async def test_what_was_released_is_somebody_elses(stream: WireStream, wire: StartableFakeWire) -> None:
    """The stream is closed, and closing it once more does nothing to the wire."""
    stream.release()
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"not mine")
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_eof()
    await stream.aclose()
    stream.abandon()
    assert (wire.sent, wire.shut, wire.closed) == (b"", 0, 0)


# Closing


def idle(stream: WireStream, wire: StartableFakeWire) -> None:
    """Nothing has come."""


def full(stream: WireStream, wire: StartableFakeWire) -> None:
    stream.received(b"x" * RECEIVE_SIZE)


def ended(stream: WireStream, wire: StartableFakeWire) -> None:
    stream.received(b"x")
    stream.received(b"")


def broken(stream: WireStream, wire: StartableFakeWire) -> None:
    wire.broken = True


@pytest.mark.parametrize("state", [idle, full, ended, broken], ids=lambda state: str(state.__name__))
@pytest.mark.parametrize("how", ["aclose", "abandon"])
async def test_close(state: object, how: str, stream: WireStream, wire: StartableFakeWire) -> None:
    """In any state it lets go of the wire once, and everything else says that it is closed."""
    assert callable(state)
    state(stream, wire)
    for _ in range(2):
        if how == "abandon":
            stream.abandon()
        else:
            with assert_checkpoints():
                await stream.aclose()
    assert wire.closed == 1
    with assert_checkpoints(), pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()
    with assert_checkpoints(), pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"x")
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_eof()
    assert wire.sent == b""


@pytest.mark.parametrize("busy", ["receiving", "sending"])
async def test_close_tells_who_waits(
    busy: str, stream: WireStream, wire: StartableFakeWire, nursery: trio.Nursery
) -> None:
    """A task that receives or sends is told at once."""
    told = trio.Event()
    wire.room = 1

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await (stream.receive_some() if busy == "receiving" else stream.send_all(b"too much"))
        told.set()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    await stream.aclose()
    await wait_all_tasks_blocked()
    assert told.is_set()


async def test_a_hang_up_comes_behind_the_rest(stream: WireStream, wire: StartableFakeWire) -> None:
    """That the other side is gone ends nothing before what it has sent is received."""
    stream.received(b"x" * RECEIVE_SIZE)
    stream.hung_up()
    assert len(await stream.receive_some()) == RECEIVE_SIZE
    assert not wire.closed


async def test_sending_might_not_block(stream: WireStream) -> None:
    """trio asks this of a stream; `send_all` waits for itself."""
    with assert_checkpoints():
        await stream.wait_send_all_might_not_block()
