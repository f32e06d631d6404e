"""Clients that send several requests on a connection, a hypercorn that only answers, and what has to become of it."""

from __future__ import annotations

import attrs
import h11
import trio

from tests.server.builders import upgrade
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
