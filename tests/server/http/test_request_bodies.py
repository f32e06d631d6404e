"""Bodies of requests: how many pieces and how much time they may take, and how they make way for others."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.server.http.pipelines import CHUNKED, GET, LIMITS, FakeSocket, SlowSocket
from wsframework import Limits
from wsframework.server.http.requests import RequestStream
from wsframework.server.streams import DeadlineStream


async def test_a_body_that_is_none() -> None:
    """What h11 cannot read as a body is passed on as it is: hypercorn's copy finds the same, and answers."""
    broken = CHUNKED[:70] + b"no size\r\n"
    stream = RequestStream(DeadlineStream(FakeSocket([]), 10), broken, LIMITS, on_return=lambda head: None)
    assert await stream.receive_some() == broken


async def test_a_long_body_is_not_kept() -> None:
    """A body is passed on as it comes, whatever its size; only what is behind it is kept."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    socket = FakeSocket([b"x" * 50_000, b"x" * 50_000 + GET], ends=False)
    stream = RequestStream(DeadlineStream(socket, 10), head, LIMITS, on_return=lambda head: None)
    assert [await stream.receive_some() for _ in range(3)] == [head, b"x" * 50_000, b"x" * 50_000]
    stream.answered()
    assert await stream.receive_some() == GET


CHUNKS = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_body_in_crumbs() -> None:
    """Tens of thousands of tiny chunks are refused, in one read or in many, and the answer behind that goes nowhere."""
    for size in (6_000, 600_000):
        socket = FakeSocket([b"1\r\nx\r\n" * (size // 6)] * (600_000 // size), ends=False)
        stream = RequestStream(DeadlineStream(socket, 10), CHUNKS, LIMITS, on_return=lambda head: None)
        with pytest.raises(trio.BrokenResourceError, match="too small"):
            while await stream.receive_some():
                pass
        assert socket.sent.startswith(b"HTTP/1.1 400 ")
        assert socket.sent.endswith(b"The body comes in too many chunks that are too small.\n")
        sent = socket.sent
        with pytest.raises(trio.BrokenResourceError, match="refused"):
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        assert socket.sent == sent


async def test_a_body_in_crumbs_that_is_being_answered() -> None:
    """A client that has had a part of an answer gets no other one in the middle of it."""
    socket = FakeSocket([b"1\r\nx\r\n" * 100_000], ends=False)
    stream = RequestStream(DeadlineStream(socket, 10), CHUNKS, LIMITS, on_return=lambda head: None)
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    assert socket.sent == b"HTTP/1.1 200 OK\r\n"


async def test_a_body_in_lines() -> None:
    """A client that sends a chunk for each line of a long file, as scripts do, is served however fast it is."""
    lines = b"15\r\nline of a long file 1\r\n" * 50_000 + b"0\r\n\r\n"
    socket = FakeSocket([lines], ends=False)
    stream = RequestStream(DeadlineStream(socket, 10), CHUNKS, LIMITS, on_return=lambda head: None)
    assert [await stream.receive_some() for _ in range(2)] == [CHUNKS, lines]


async def test_a_body_in_crumbs_now_and_then(autojump_clock: MockClock) -> None:
    """So is one that sends a byte every two milliseconds for as long as it likes."""
    socket = SlowSocket([b"1\r\nx\r\n"] * 20_000)
    stream = RequestStream(DeadlineStream(socket, 10), CHUNKS, LIMITS, on_return=lambda head: None)
    while await stream.receive_some():
        pass
    assert socket.sent == b""


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 100 \r\n\r\n"], ids=["silence", "continue"])
async def test_a_body_that_stops_coming(answer: bytes, autojump_clock: MockClock) -> None:
    """A client that is silent in the middle of its body is told so, and closed."""
    socket = FakeSocket([b"1234"], ends=False)
    limits = Limits(body_timeout=5)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    stream = RequestStream(DeadlineStream(socket, 10), head, limits, on_return=lambda head: None)
    assert await stream.receive_some() == head
    if answer:
        await stream.send_all(answer)
    assert await stream.receive_some() == b"1234"
    with pytest.raises(trio.BrokenResourceError, match="in time"):
        await stream.receive_some()
    assert trio.current_time() == 5
    assert socket.sent.startswith(answer + b"HTTP/1.1 408 ")


async def test_a_body_that_comes_slowly(autojump_clock: MockClock) -> None:
    """It may take as long as it likes, and so may the answer to one that has come whole."""

    class Slow(FakeSocket):
        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            await trio.sleep(4)
            return await super().receive_some(max_bytes)

    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    socket = Slow([b"1", b"2", b"3", b"4", b"5"], ends=False)
    stream = RequestStream(DeadlineStream(socket, 10), head, Limits(body_timeout=5), on_return=lambda head: None)
    assert [await stream.receive_some() for _ in range(6)] == [head, b"1", b"2", b"3", b"4", b"5"]
    with trio.move_on_after(1000) as scope:
        await stream.receive_some()
    assert scope.cancelled_caught
    assert socket.sent == b""


async def test_others_have_their_turn(nursery: trio.Nursery) -> None:
    """While the chunks of one read are looked at, other tasks run."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    stream = RequestStream(
        DeadlineStream(FakeSocket([b"1\r\nx\r\n" * 9000]), 10), CHUNKS, LIMITS, on_return=lambda head: None
    )
    await stream.receive_some()
    nursery.start_soon(other)
    await stream.receive_some()
    nursery.cancel_scope.cancel()
    assert turns > 20
