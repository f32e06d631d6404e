"""Where a request on a kept connection ends, however its bytes come: what hypercorn gets, and what goes back."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from tests.server.builders import splits
from tests.server.http.pipelines import (
    CHUNKED,
    CLOSE,
    EMPTY,
    EXPECT,
    GET,
    HEAD,
    LIMITS,
    NO_UPGRADE,
    NOISE,
    OLD,
    PIPELINES,
    POST,
    READ,
    UPGRADE,
    FakeSocket,
    Outcome,
    check,
    name,
    serve,
)
from wsframework.server.http.requests import RequestStream
from wsframework.server.streams import DeadlineStream


@pytest.mark.parametrize("pipeline", PIPELINES, ids=name)
async def test_cut_at_every_byte(pipeline: tuple[bytes, ...]) -> None:
    """Requests one behind the other, in one read or in two: hypercorn gets each for itself, and nobody else's."""
    data = b"".join(pipeline)
    for cut in range(len(data)):
        check(await serve(FakeSocket(splits(data, [cut]))), *pipeline)


@pytest.mark.parametrize("pipeline", PIPELINES, ids=name)
async def test_byte_by_byte(pipeline: tuple[bytes, ...]) -> None:
    """A client that sends single bytes gets the same."""
    data = b"".join(pipeline)
    check(await serve(FakeSocket(splits(data, range(1, len(data))))), *pipeline)


@given(
    st.lists(st.sampled_from([GET, HEAD, POST, EMPTY, CHUNKED, EXPECT, OLD, CLOSE]), min_size=1, max_size=4),
    st.sampled_from([None, UPGRADE, NO_UPGRADE, NOISE]),
    st.sets(st.integers(1, 500)),
)
def test_any_cutting_is_the_same(requests: list[bytes], last: bytes | None, cuts: set[int]) -> None:
    """Whatever comes behind whatever, cut wherever."""
    pipeline = [*requests, *([last] if last else [])]
    data = b"".join(pipeline)
    pieces = splits(data, (cut for cut in cuts if cut < len(data)))

    async def run() -> Outcome:
        return await serve(FakeSocket(pieces))

    check(trio.run(run), *pipeline)


@pytest.mark.parametrize("second", [GET, UPGRADE], ids=["get", "upgrade"])
@pytest.mark.parametrize("between", [b"\r\n", b"\r\n\r\n"], ids=["one", "two"])
async def test_line_breaks_in_between(between: bytes, second: bytes) -> None:
    """A client that ends its body with a line break too many is forgiven; it belongs to no request."""
    data = POST + between + second
    for cut in range(len(data)):
        check(await serve(FakeSocket(splits(data, [cut]))), POST, second)


async def test_100_continue_is_sent_when_it_is_awaited() -> None:
    """A client that waits for it gets it, and then sends its body."""
    head, body = EXPECT[:-4], EXPECT[-4:]
    outcome = await serve(FakeSocket([head, body + UPGRADE]))
    assert outcome.answers.startswith(b"HTTP/1.1 100 ")
    check(outcome, EXPECT, UPGRADE)


@pytest.mark.parametrize("request_", [GET, POST, CHUNKED], ids=["get", "length", "chunked"])
async def test_the_next_head_waits_for_the_answer(request_: bytes, nursery: trio.Nursery) -> None:
    """What comes while a request is being answered is neither given to hypercorn nor judged before it is answered."""
    returned: list[bytes] = []
    stream = RequestStream(DeadlineStream(FakeSocket([UPGRADE]), 10), request_, LIMITS, returned.append)
    assert await stream.receive_some() == request_
    ended = trio.Event()

    async def read_on() -> None:
        assert await stream.receive_some() == b""
        ended.set()

    nursery.start_soon(read_on)
    await wait_all_tasks_blocked()
    assert not stream.returned
    assert not returned
    stream.answered()
    await ended.wait()
    assert stream.returned
    assert returned == [UPGRADE]


async def test_a_client_that_leaves_while_it_is_answered() -> None:
    """The end is told at once, so that hypercorn can tell the application."""
    stream = RequestStream(DeadlineStream(FakeSocket([]), 10), GET, LIMITS, on_return=lambda head: None)
    assert await stream.receive_some() == GET
    assert await stream.receive_some() == b""


@pytest.mark.parametrize("cut", [1, len(GET), len(GET) + 1])
async def test_a_client_that_leaves_in_between(cut: int) -> None:
    """A head that never gets whole is nobody's, and does not go back."""
    outcome = await serve(FakeSocket([GET + POST[: cut % len(POST)]]))
    assert outcome.returned is None
    assert outcome.requests == [READ[GET]]


async def test_a_long_head_goes_back() -> None:
    """A head beyond the limit is answered by whoever answers the first head of a connection."""
    long = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 600
    outcome = await serve(FakeSocket([GET, long]))
    assert (outcome.requests, outcome.returned) == ([READ[GET]], long)


async def test_what_goes_back_is_not_closed() -> None:
    """hypercorn is told that it has ended, and may say and end and close what it likes: the connection stays open."""
    socket = FakeSocket([UPGRADE])
    stream = RequestStream(DeadlineStream(socket, 10), GET, LIMITS, on_return=lambda head: None)
    await stream.receive_some()
    stream.answered()
    assert [await stream.receive_some() for _ in range(2)] == [b"", b""]
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await stream.send_eof()
    await stream.aclose()
    assert socket.sent == b""
    assert not socket.eof
    assert not socket.closed


async def test_close() -> None:
    """Any other connection is ended and closed, and whoever reads is told."""
    socket = FakeSocket([GET])
    stream = RequestStream(DeadlineStream(socket, 10), GET, LIMITS, on_return=lambda head: None)
    await stream.receive_some()
    async with trio.open_nursery() as nursery:

        async def close() -> None:
            await wait_all_tasks_blocked()
            await stream.send_eof()
            await stream.aclose()

        nursery.start_soon(close)
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some()
    assert socket.eof
    assert socket.closed
