"""Where a request on a kept connection ends, however its bytes come: what hypercorn gets, and what goes back."""

from __future__ import annotations

import attrs
import h11
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.builders import splits, upgrade
from wsframework import Limits
from wsframework.server.head.reader import read_arrival
from wsframework.server.http.requests import RequestStream
from wsframework.server.streams import DeadlineStream

LIMITS = Limits(request_head=500)

GET = b"GET /get HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n\r\n\r\nG"
EMPTY = b"POST /empty HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
CHUNKED = (
    b"POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nGET\r\n4\r\n /\r\n\r\n0\r\nTrailer: yes\r\n\r\n"
)
EXPECT = b"POST /expect HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"
OLD = b"GET /old HTTP/1.0\r\n\r\n"
CLOSE = b"GET /close HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
UPGRADE = upgrade() + b"\x81\x80mask"
NOISE = b"\x16\x03\x01 this is TLS"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TWO_LENGTHS = CHUNKED.replace(b"Host: a", b"Host: a\r\nContent-Length: 3")
NO_UPGRADE = upgrade(sec_websocket_version=b"12")

READ: dict[bytes, tuple[str, str, bytes]] = {
    GET: ("GET", "/get", b""),
    HEAD: ("HEAD", "/head", b""),
    POST: ("POST", "/post", b"\r\n\r\nG"),
    EMPTY: ("POST", "/empty", b""),
    CHUNKED: ("POST", "/chunked", b"GET /\r\n"),
    EXPECT: ("POST", "/expect", b"body"),
    OLD: ("GET", "/old", b""),
    CLOSE: ("GET", "/close", b""),
}


class FakeSocket(trio.abc.HalfCloseableStream):
    """A client that has sent these pieces, each of which is one read, and then ends or says no more.

    Attributes:
        sent: what it gets.
        closed: our side was closed.
        eof: our direction was ended.
    """

    def __init__(self, pieces: list[bytes], *, ends: bool = True) -> None:
        self.pieces = list(pieces)
        self.sent = b""
        self.closed = self.eof = False
        self._ends = ends

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if self.pieces:
            return self.pieces.pop(0)
        if not self._ends:
            await trio.sleep_forever()
        return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.sent += data

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        self.eof = True

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        self.closed = True


class SlowSocket(FakeSocket):
    """Sends 500 pieces a second."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep(0.002)
        return await super().receive_some(max_bytes)


@attrs.define
class Outcome:
    """What became of a connection.

    Attributes:
        requests: method, target and body of those that hypercorn got, in order.
        answers: what the client got.
        returned: what went back, and what would still have come; None if nothing did.
    """

    requests: list[tuple[str, str, bytes]]
    answers: bytes
    returned: bytes | None


async def serve(socket: FakeSocket) -> Outcome:
    """Serve a connection from its first head on, as the HTTP side does, with a hypercorn that only answers 'ok'."""
    stream = DeadlineStream(socket, LIMITS.write_timeout)
    arrival = await read_arrival(stream.receive_some, LIMITS)
    assert arrival is not None
    assert arrival.handshake is None
    requests: list[tuple[str, str, bytes]] = []
    returned: list[bytes] = []
    await hypercorn(RequestStream(stream, arrival.data, LIMITS, returned.append), requests)
    assert len(returned) <= 1
    return Outcome(requests, socket.sent, returned[0] + b"".join(socket.pieces) if returned else None)


async def hypercorn(stream: RequestStream, requests: list[tuple[str, str, bytes]]) -> None:
    """Read requests with h11, as hypercorn does, and see that no byte comes behind the one that is being answered."""
    connection = h11.Connection(h11.SERVER)
    while await answer_one(connection, stream, requests):
        connection.start_next_cycle()
        stream.answered()
    await stream.send_eof()
    await stream.aclose()


async def answer_one(connection: h11.Connection, stream: RequestStream, requests: list[tuple[str, str, bytes]]) -> bool:
    """Read and answer one request; False when there is none, or no more after it."""
    method, target, body = "", "", b""
    while True:
        event = connection.next_event()
        match event:
            case h11.NEED_DATA:
                if connection.they_are_waiting_for_100_continue:
                    await stream.send_all(connection.send(h11.InformationalResponse(status_code=100, headers=[])))
                connection.receive_data(await stream.receive_some(100))
            case h11.Request():
                method, target = event.method.decode(), event.target.decode()
            case h11.Data():
                body += event.data
            case h11.EndOfMessage():
                break
            case _:
                return False
    assert connection.trailing_data == (b"", False), "hypercorn got bytes of the next request"
    requests.append((method, target, body))
    parts = [h11.Response(status_code=200, headers=[("Content-Length", "2")])]
    sent = b"".join(connection.send(part) or b"" for part in parts)
    if method != "HEAD":
        sent += connection.send(h11.Data(data=b"ok")) or b""
    await stream.send_all(sent + (connection.send(h11.EndOfMessage()) or b""))
    return connection.our_state is h11.DONE


def expected(*sent: bytes) -> Outcome:
    """What has to become of a client that sends these requests one behind the other."""
    requests, returned = [], None
    for number, request in enumerate(sent):
        if request not in READ:
            returned = b"".join(sent[number:])
            break
        requests.append(READ[request])
        if request in (OLD, CLOSE):
            break
    return Outcome(requests, b"", returned)


def check(outcome: Outcome, *sent: bytes) -> None:
    """See that hypercorn got and answered what it should, and that the rest went back, byte for byte."""
    wanted = expected(*sent)
    assert outcome.requests == wanted.requests
    assert outcome.returned == wanted.returned
    assert outcome.answers.count(b"HTTP/1.1 200 ") == len(wanted.requests)


PIPELINES = [
    (GET,),
    (POST,),
    (CHUNKED,),
    (EXPECT,),
    (GET, GET, GET),
    (HEAD, GET),
    (POST, GET),
    (EMPTY, POST),
    (CHUNKED, CHUNKED, POST),
    (EXPECT, GET),
    (OLD, GET),
    (CLOSE, GET),
    (GET, OLD),
    (GET, UPGRADE),
    (HEAD, UPGRADE),
    (POST, UPGRADE),
    (CHUNKED, UPGRADE),
    (EXPECT, UPGRADE),
    (CLOSE, UPGRADE),
    (GET, UPGRADE, GET),
    (POST, NO_UPGRADE),
    (CHUNKED, NOISE),
    (GET, PREFACE),
    (GET, TWO_LENGTHS),
]


def name(pipeline: tuple[bytes, ...]) -> str:
    names = {UPGRADE: "upgrade", NOISE: "noise", NO_UPGRADE: "no upgrade", PREFACE: "HTTP2", TWO_LENGTHS: "two lengths"}
    return " ".join(names.get(request) or READ[request][1] for request in pipeline)


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
