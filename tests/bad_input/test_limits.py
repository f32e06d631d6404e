"""Too much of what is fine in itself: connections, messages, streams; and pages of other sites."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator

import pytest
from hpack import Encoder

from tests.bad_input.attack import KIB, MIB, PATIENCE, Attack, Case, Cases, attacking, in_rows
from tests.bad_input.conftest import ServerFor
from tests.server.builders import client_frame, client_text, upgrade

CASES: Cases = []
NO_MASK = bytes(4)


# Pages of other sites. The host of all these requests is example.com, on a connection without TLS.


def stranger(row: str, *origins: bytes, target: bytes = b"/echo") -> None:
    """A page of this origin is refused, with its user's cookies."""

    def run(attack: Attack) -> None:
        client = attack.connect()
        fields = [b"Origin: " + origin for origin in origins]
        client.send(upgrade(*fields, b"Cookie: session=the-user's", target=target))
        assert client.response()[0] == 403
        client.ends()

    in_rows(CASES, row, outcome="refused 403")(run)


def friend(row: str, *fields: bytes, target: bytes = b"/echo") -> None:
    """This client gets its WebSocket."""

    def run(attack: Attack) -> None:
        client = attack.connect()
        client.send(upgrade(*fields, target=target))
        assert client.response()[0] == 101
        client.echo()
        client.close()

    in_rows(CASES, row, outcome="closed 1000")(run)


friend("H29 no origin")
friend("H29 same origin", b"Origin: http://example.com")
friend("H29 same origin with its port", b"Origin: http://example.com:80")
stranger("H29 another site", b"https://evil.com")
stranger("H29 another scheme", b"https://example.com")
stranger("H29 another port", b"http://example.com:8080")
GOOD = b"/good.com/echo"
friend("H30 a site of the list", b"Origin: https://good.com", target=GOOD)
friend("H30 a site of the list in capitals", b"Origin: HTTPS://GOOD.COM", target=GOOD)
stranger("H30 null", b"null", target=GOOD)
stranger("H30 a name that begins with it", b"https://good.com.evil.com", target=GOOD)
stranger("H30 a name that ends with it", b"https://evilgood.com", target=GOOD)
stranger("H30 a name with the Kelvin sign's lower case", "https://\u212aood.com".encode(), target=GOOD)
stranger("H30 another port of it", b"https://good.com:444", target=GOOD)
stranger("H30 it as a user", b"https://good.com@evil.com", target=GOOD)
stranger("H30 two origins", b"https://good.com", b"https://good.com", target=GOOD)
stranger("H30 two origins in one", b"https://good.com, https://evil.com", target=GOOD)
stranger("H30 empty", b"", target=GOOD)
stranger("H31 mounted route", b"https://evil.com", target=b"/mounted/echo")
stranger("H31 application of another kind", b"https://evil.com", target=b"/foreign/x")
stranger("H31 path that nothing serves", b"https://evil.com", target=b"/nothing")
stranger("H31 path of files", b"https://evil.com", target=b"/static/page.txt")


# Too many connections

FEW = {"connections": 8, "close_timeout": 0.4}
FEW_PER_ADDRESS = {"connections_per_address": 8}


def too_many(attack: Attack) -> None:
    """One more than there may be, the bystander's among them, gets 503; those that are there notice nothing."""
    clients = [attack.connect().upgrade() for _ in range(7)]
    late = attack.connect()
    status, fields, _ = late.response()
    assert status == 503
    assert int(fields["retry-after"]) > 0
    late.ends()
    clients[0].echo()
    last = clients.pop()
    last.close()
    last.leave()
    attack.wait_until(lambda report: report.open == 7)
    attack.connect().upgrade().close()
    for client in clients:
        client.close()


for row, limits in (("F26 one connection too many", FEW), ("F26 one too many of an address", FEW_PER_ADDRESS)):
    in_rows(CASES, row, outcomes={"refused 503": 1, "closed 1000": 8}, limits=limits)(too_many)


@in_rows(CASES, "F26 300 connections too many", outcomes={"refused 503": 300, "closed 1000": 7}, limits=FEW)
def far_too_many(attack: Attack) -> None:
    """Nobody has to read the answer, and who keeps its socket does not keep one of the server's."""
    clients = [attack.connect().upgrade() for _ in range(7)]
    for _ in range(300):
        attack.connect()
    before = attack.before.accepted
    attack.wait_until(lambda report: report.accepted - before == 307)  # those in the backlog would find room otherwise
    for client in clients:
        client.close()


@in_rows(CASES, "F26 1,000 connections that go as they come", outcomes={"closed 1006": 1000})
def many_that_go(attack: Attack) -> None:
    for _ in range(1000):
        attack.connect().upgrade().reset()


# Too many messages

SLOW = {"messages_per_second": 1000, "bytes_per_second": 4 * MIB, "throttle_timeout": 0.4, "close_timeout": 0.4}


@in_rows(CASES, "F25 100,000 messages at once", outcome="closed 1008", limits=SLOW)
def too_many_messages(attack: Attack) -> None:
    """First less is read, and when that does not help the client is closed."""
    client = attack.connect().upgrade("/sink")
    begin = time.monotonic()
    client.send(client_frame(2, b"x", mask=NO_MASK) * 100_000)
    assert client.close_code() == 1008
    assert time.monotonic() - begin < PATIENCE
    client.rest()


@in_rows(CASES, "F25 64 MiB at once", outcome="closed 1008", limits=SLOW)
def too_many_bytes(attack: Attack) -> None:
    client = attack.connect().upgrade("/sink")
    client.send(client_frame(2, bytes(64 * KIB), mask=NO_MASK) * 1024)
    assert client.close_code() == 1008
    client.rest()


@in_rows(CASES, "F25 a short burst", outcome="closed 1000", limits=SLOW)
def short_burst(attack: Attack) -> None:
    """It is on average that the rate holds."""
    client = attack.connect().upgrade("/sink")
    client.send(client_frame(2, b"x", mask=NO_MASK) * 900, client_text("how much?"))
    assert client.frame() == (1, b"900 900")
    client.close()


# HTTP/2

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, GOAWAY, CONTINUATION, UNKNOWN = 0, 1, 2, 3, 4, 7, 9, 0x55
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
GET = [(":method", "GET"), (":scheme", "http"), (":authority", "example.com"), (":path", "/path")]


def h2(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def h2_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The kinds and payloads of what a server has sent."""
    while len(data) >= 9:
        size = int.from_bytes(data[:3], "big")
        yield data[3], data[9 : 9 + size]
        data = data[9 + size :]


def over_http2(row: str, *frames: bytes) -> None:
    """The connection is told to go away, and ended."""

    def run(attack: Attack) -> None:
        client = attack.connect()
        client.send(PREFACE, h2(SETTINGS, 0, 0), *frames)
        assert GOAWAY in [kind for kind, _ in h2_frames(client.rest())]

    in_rows(CASES, row, outcome="http")(run)


head = Encoder().encode(GET, huffman=False)
post = h2(HEADERS, END_HEADERS, 1, Encoder().encode([(":method", "POST"), *GET[1:]], huffman=False))


def long_head(fields: bytes) -> Iterator[bytes]:
    """A head in as many frames as it takes."""
    yield h2(HEADERS, END_STREAM, 1)
    for at in range(0, len(fields), 16 * KIB):
        yield h2(CONTINUATION, 0 if at + 16 * KIB < len(fields) else END_HEADERS, 1, fields[at : at + 16 * KIB])


over_http2(
    "H42 streams that are opened and reset",
    *[
        h2(HEADERS, END_HEADERS | END_STREAM, stream, head) + h2(RST_STREAM, 0, stream, bytes(4))
        for stream in range(1, 10_001, 2)
    ],
)
over_http2("H42 head of endless continuations", h2(HEADERS, 0, 1, head), h2(CONTINUATION, 0, 1, bytes(16_000)) * 500)
over_http2("H42 continuations of nothing", h2(HEADERS, 0, 1, head), h2(CONTINUATION, 0, 1) * 50_000)
over_http2("H42 settings without end", h2(SETTINGS, 0, 0) * 50_000)
over_http2(
    "H42 line end in a field", h2(HEADERS, END_HEADERS | END_STREAM, 1, Encoder().encode([*GET, ("x-a", "b\r\nc: d")]))
)
over_http2("H42 body of nothing", post, h2(DATA, 0, 1) * 50_000)
over_http2("H42 body of frames of padding", post, h2(DATA, PADDED, 1, b"\x01\0") * 30_000)
over_http2("H42 body of one-byte frames", post, h2(DATA, 0, 1, b"x") * 60_000)
over_http2("H42 frame of 16 MiB", b"\xff\xff\xf0" + bytes(5) + b"\x01", bytes(8 * MIB))
over_http2("H42 head of 1 MiB that resizes the table", *long_head(b"\x20" * MIB + head))
over_http2("H42 head of 1 MiB that repeats a field", *long_head(head + b"\x90" * MIB))
over_http2("H42 head with a value of 1 MiB", *long_head(head + b"\0\x03x-a\xff\x81\xff\x3f" + bytes(MIB)))
over_http2("H42 frames of no known kind", h2(UNKNOWN, 0, 0) * 50_000)
over_http2("H42 priorities of streams that never come", *[h2(PRIORITY, 0, n, bytes(5)) for n in range(1, 20_001, 2)])


@in_rows(CASES, "H42 client that leaves in the middle of a body", outcome="http")
def leaves_in_a_body(attack: Attack) -> None:
    """The route is told that the client is gone, and its answer to that has nowhere to go."""
    client = attack.connect()
    client.send(PREFACE, h2(SETTINGS, 0, 0), post, h2(DATA, 0, 1) * 10)
    attack.wait_until(lambda report: report.http > attack.before.http)


# Bodies over HTTP/1.1

CHUNKED = b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@in_rows(CASES, "N43 body of 100,000 chunks of a byte", outcome="http")
def body_in_crumbs(attack: Attack) -> None:
    client = attack.connect()
    client.send(CHUNKED % b"/path", b"1\r\nx\r\n" * 100_000, b"0\r\n\r\n")
    assert client.response()[0] == 400
    client.ends()


over_http2("H42 ping of three bytes", h2(6, 0, 0, b"abc"))
over_http2("H42 settings of a stream", h2(SETTINGS, 0, 1))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_limits(case: Case, server_for: ServerFor) -> None:
    """The row says what the client does; what must hold is the same for all of them."""
    with attacking(server_for(case.limits), case) as attack:
        case.run(attack)
