"""The connection in memory: a stream with a window and with faults."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from wsframework.testing.streams import memory_connection


async def test_the_window(autojump_clock: MockClock) -> None:
    """A sender waits when the window is full, and goes on as the other side takes bytes."""
    here, there = memory_connection(window=10)
    await here.send_all(b"0123456789")
    with trio.move_on_after(1) as scope:
        await here.send_all(b"x")
    assert scope.cancelled_caught
    assert await there.receive_some(4) == b"0123"
    await here.send_all(b"abcd")
    assert await there.receive_some() == b"456789abcd"


async def test_stalling(autojump_clock: MockClock) -> None:
    """A stalled end takes nothing, not even the end of the stream, until it goes on."""
    here, there = memory_connection()
    await here.send_all(b"hello")
    there.stall()
    with trio.move_on_after(1) as scope:
        await there.receive_some()
    assert scope.cancelled_caught
    there.stall(False)
    assert await there.receive_some() == b"hello"


async def test_vanishing() -> None:
    """Who vanishes breaks both directions, also for a task that waits; what was on its way is lost."""
    here, there = memory_connection()
    await here.send_all(b"lost")

    async def wait() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await here.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        there.vanish()
    for end in (here.send_all(b"x"), here.receive_some()):
        with pytest.raises(trio.BrokenResourceError):
            await end
    for end in (there.send_all(b"x"), there.receive_some()):
        with pytest.raises(trio.ClosedResourceError):
            await end


async def test_ending() -> None:
    """An end of the stream is read behind what was sent before it; who has closed cannot go on."""
    here, there = memory_connection()
    await here.send_all(b"last words")
    await here.send_eof()
    assert await there.receive_some() == b"last words"
    assert await there.receive_some() == b""
    await there.send_all(b"answer")
    assert await here.receive_some() == b"answer"
    await here.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await here.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await there.send_all(b"too late")
    assert await there.receive_some() == b""


async def test_a_sender_whose_other_side_closes() -> None:
    """A sender that waits for room is told when there will never be any."""
    here, there = memory_connection(window=1)

    async def fill() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await here.send_all(b"12")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fill)
        await wait_all_tasks_blocked()
        await there.aclose()
