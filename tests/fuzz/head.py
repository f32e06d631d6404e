"""The request head: from the first byte of a connection to an upgrade, a refusal, or the hand-off to the HTTP side."""

from __future__ import annotations

import random
import urllib.parse
from collections.abc import Hashable

import attrs
import h11
from websockets.http11 import MAX_LINE_LENGTH
from websockets.http11 import Request as ForeignRequest
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

from tests.server.builders import KEY, read_response
from wsframework import Limits
from wsframework.errors import RequestError
from wsframework.server.head.handshake import Handshake, encode_accept
from wsframework.server.head.reader import Arrival, HeadReader
from wsframework.server.head.response import encode_refusal

from .target import Target, cuttings, within_time

LIMITS = [Limits(), Limits(request_head=300, request_fields=8)]

_HTTP2 = b"PRI * HTTP/2.0\r\n\r\n"
_STATUSES = {400, 405, 414, 426, 431, 501, 505}


@attrs.frozen
class Outcome:
    """What becomes of a connection; None as an arrival means that the head is not whole yet."""

    arrival: Arrival | None = None
    refusal: RequestError | None = None

    @property
    def kind(self) -> Hashable:
        if self.refusal is not None:
            return self.refusal.status, self.refusal.detail
        if self.arrival is None:
            return "unfinished"
        if self.arrival.handshake is None:
            return "http"
        return "upgrade", bool(self.arrival.handshake.subprotocols), bool(self.arrival.data)


class RequestHead(Target):
    """What must hold.

    Nothing but `RequestError` is raised, and its answer is a response that a client can read. The same bytes have the
    same outcome however they are cut. What is accepted is one request without a body for h11, with the same fields,
    and a handshake for the `websockets` library too: no other server of the way would see something else in it. What
    is handed on is handed on whole.
    """

    name = "head"

    def __init__(self) -> None:
        self.mutations = (
            insert_field,
            drop_line,
            repeat_line,
            swap_lines,
            change_line,
            change_request_line,
            add_behind,
        )
        self.words = WORDS

    def check(self, data: bytes) -> Hashable:
        kinds = []
        for limits in LIMITS:
            outcome = feed([data] if data else [], limits)
            for pieces in cuttings(data)[1:]:
                self._compare(outcome, feed(pieces, limits), limits)
            if outcome.refusal is not None:
                check_refusal(outcome.refusal)
            elif outcome.arrival is not None:
                check_arrival(outcome.arrival, data, limits)
            kinds.append(outcome.kind)
        return tuple(kinds)

    def measure(self, data: bytes) -> None:
        feed([data] if data else [], LIMITS[0])

    def _compare(self, whole: Outcome, cut: Outcome, limits: Limits) -> None:
        """A head that is wrong in two ways may be refused for either: which one is seen first depends on the cut."""
        if whole.refusal is None or cut.refusal is None:
            assert cut == whole, f"in pieces: {cut.kind}, whole: {whole.kind}"
        elif cut.refusal.status != whole.refusal.status:
            assert 431 in (cut.refusal.status, whole.refusal.status), f"{cut.refusal}, whole: {whole.refusal}"


def feed(pieces: list[bytes], limits: Limits) -> Outcome:
    """Feed these reads; what comes behind the head goes to whoever takes the connection over."""

    def read() -> Outcome:
        reader = HeadReader(limits)
        for number, piece in enumerate(pieces):
            try:
                arrival = reader.feed(piece)
            except RequestError as error:
                return Outcome(refusal=error)
            if arrival is not None:
                rest = b"".join(pieces[number + 1 :])
                return Outcome(Arrival(arrival.handshake, arrival.data + rest))
        return Outcome()

    return within_time(read, len(pieces))


def check_refusal(error: RequestError) -> None:
    """The answer is a whole response that says that the connection ends."""
    assert error.status in _STATUSES, error
    status, fields, body = read_response(encode_refusal(error))
    assert status == error.status
    assert fields[b"connection"] in (b"close", b"close, Upgrade")
    assert body.decode().strip() == error.detail


def check_arrival(arrival: Arrival, data: bytes, limits: Limits) -> None:
    """Others read the same request in these bytes."""
    if data.startswith(_HTTP2):
        assert arrival == Arrival(None, data)
        return
    head = data[: data.index(b"\r\n\r\n") + 4]
    assert len(head) <= limits.request_head
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=16 * 1024)  # as hypercorn has it
    parser.receive_data(data)
    request = parser.next_event()
    assert isinstance(request, h11.Request)
    if arrival.handshake is None:
        method, target, rest = data.split(b" ", 2)
        found_method, found_target, found_rest = arrival.data.split(b" ", 2)
        assert (found_method, found_rest) == (method, rest)
        assert found_target == target or target.lower().startswith((b"http://", b"https://"))
        assert found_target.startswith(b"/") or (method, target) == (b"OPTIONS", b"*")
        return
    assert arrival.data == data[len(head) :]
    assert request.headers == arrival.handshake.request.headers
    assert isinstance(parser.next_event(), h11.EndOfMessage)
    assert arrival.handshake.raw_path.startswith(b"/")
    if not request.target.startswith(b"/"):
        url = urllib.parse.urlsplit(request.target)
        assert url.scheme in (b"http", b"https")
        assert url.netloc.lower() == dict(request.headers)[b"host"].lower()
    check_handshake(arrival.handshake, head)


def check_handshake(handshake: Handshake, head: bytes) -> None:
    """The `websockets` library takes it for a handshake and has the same proof; h11 can read our answer."""
    assert urllib.parse.unquote(handshake.raw_path.decode("ascii")) == handshake.path
    chosen = handshake.subprotocols[-1] if handshake.subprotocols else None
    client = h11.Connection(h11.CLIENT)
    fields = [("Host", "example.com"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
    client.send(h11.Request(method="GET", target="/", headers=fields))
    client.send(h11.EndOfMessage())
    client.receive_data(encode_accept(handshake, chosen))
    answer = client.next_event()
    assert isinstance(answer, h11.InformationalResponse)
    assert answer.status_code == 101
    said = dict(answer.headers)
    assert said.get(b"sec-websocket-protocol", b"").decode() == (chosen or "")
    if max(map(len, head.split(b"\r\n"))) < MAX_LINE_LENGTH:
        assert said[b"sec-websocket-accept"].decode() == foreign_proof(head)


def foreign_proof(head: bytes) -> str:
    """What the `websockets` library would answer to the key; it raises what it refuses."""
    stream = StreamReader()
    stream.feed_data(head)
    parser = ForeignRequest.parse(stream.read_line)
    try:
        next(parser)
    except StopIteration as stop:
        request = stop.value
        if "Origin" in request.headers:  # origins are judged elsewhere
            del request.headers["Origin"]
        return ServerProtocol().process_request(request)[0]
    raise AssertionError("the websockets library waits for more of the head")


# Mutations

FIELDS = [
    b"Host: example.com",
    b"Host: other.example",
    b"Upgrade: websocket",
    b"Upgrade: WebSocket, h2c",
    b"Upgrade: h2c",
    b"Connection: Upgrade",
    b"Connection: keep-alive, Upgrade",
    b"Connection: close",
    b"Connection: , ,Upgrade,",
    b"Sec-WebSocket-Key: " + KEY,
    b"Sec-WebSocket-Key:" + KEY + b" \t ",
    b"Sec-WebSocket-Key: AAAA",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Version: 8, 13",
    b"Sec-WebSocket-Protocol: chat, superchat",
    b"Sec-WebSocket-Protocol: \x80\xff",
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    b"Sec-WebSocket-Extensions: ;;=,",
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Expect: 100-continue",
    b"Origin: https://example.com",
    b'Cookie: a="\\"\\""; b',
    b" folded",
    b"Name : value",
    b": no name",
    b"no colon",
    b"X-NUL: a\x00b",
    b"X-Text: \xe4\xf6",
    b"X-Long: " + b"x" * 400,
]
WORDS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\x00",
    b" ",
    b"\t",
    b":",
    b",",
    b"%00",
    b"%2f",
    b"%ff",
    b"?",
    b"#",
    b"*",
    b"//",
]
METHODS = [b"GET", b"get", b"POST", b"CONNECT", b"OPTIONS", b"PRI", b"G\x00T", b""]
TARGETS = [
    b"/",
    b"/a?b=c",
    b"/%ff",
    b"*",
    b"//evil",
    b"@evil/",
    b"http://evil/",
    b"http://example.com/",
    b"http://example.com?/",
    b"example.com:443",
    b"/\x80",
    b"",
    b"/ /",
]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/11", b""]
BEHIND = [b"x", b"\x81\x80\x00\x00\x00\x00", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"\r\n"]


def lines_of(data: bytes) -> list[bytes]:
    return data.split(b"\r\n")


def insert_field(chance: random.Random, data: bytes) -> bytes:
    lines = lines_of(data)
    lines.insert(chance.randrange(1, len(lines) + 1), chance.choice(FIELDS))
    return b"\r\n".join(lines)


def drop_line(chance: random.Random, data: bytes) -> bytes:
    lines = lines_of(data)
    del lines[chance.randrange(len(lines))]
    return b"\r\n".join(lines)


def repeat_line(chance: random.Random, data: bytes) -> bytes:
    lines = lines_of(data)
    at = chance.randrange(len(lines))
    lines[at:at] = [lines[at]] * chance.choice((1, 1, 10, 130))
    return b"\r\n".join(lines)


def swap_lines(chance: random.Random, data: bytes) -> bytes:
    first, *fields = lines_of(data)
    chance.shuffle(fields)
    return b"\r\n".join([first, *fields])


def change_line(chance: random.Random, data: bytes) -> bytes:
    """Another case, another field of the same name, or more space."""
    lines = lines_of(data)
    at = chance.randrange(len(lines))
    name = lines[at].partition(b":")[0]
    same = [field for field in FIELDS if field.startswith(name)]
    lines[at] = chance.choice((lines[at].swapcase(), chance.choice(same or FIELDS), lines[at] + b" " * 100))
    return b"\r\n".join(lines)


def change_request_line(chance: random.Random, data: bytes) -> bytes:
    parts = lines_of(data)[0].split(b" ", 2)
    at = chance.randrange(len(parts))
    parts[at] = chance.choice((METHODS, TARGETS, VERSIONS)[at])
    return b" ".join(parts) + data[len(lines_of(data)[0]) :]


def add_behind(chance: random.Random, data: bytes) -> bytes:
    return data + chance.choice(BEHIND)
