"""The first bytes of a connection: what they want, or why not, within their limit and their time."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.server.builders import client_text, upgrade
from wsframework import Limits
from wsframework.errors import RequestError
from wsframework.server.head.reader import Arrival, read_arrival

LIMITS = Limits()
PLAIN = b"GET /page HTTP/1.1\r\nHost: example.com\r\n\r\n"


class Source:
    """Gives these bytes, read by read; then the client is silent, or has left."""

    def __init__(self, *reads: bytes, leaves: bool = False, every: float = 0) -> None:
        self.reads = list(reads)
        self._leaves = leaves
        self._every = every

    async def receive_some(self) -> bytes:
        await trio.sleep(self._every)
        if self.reads:
            return self.reads.pop(0)
        if self._leaves:
            return b""
        await trio.sleep_forever()
        raise AssertionError("for ever has ended")


async def arrive(*reads: bytes, limits: Limits = LIMITS) -> Arrival:
    arrival = await read_arrival(Source(*reads).receive_some, limits)
    assert arrival is not None
    return arrival


async def refusal_of(*reads: bytes, limits: Limits = LIMITS) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await read_arrival(Source(*reads).receive_some, limits)
    return caught.value


# What it is


async def test_an_upgrade() -> None:
    """An upgrade is parsed and checked; nothing is left over."""
    arrival = await arrive(upgrade(target=b"/chat"))
    assert arrival.handshake is not None
    assert arrival.handshake.path == "/chat"
    assert arrival.data == b""


async def test_an_upgrade_in_single_bytes() -> None:
    """The head may come in whatever pieces."""
    head = upgrade(target=b"/chat")
    arrival = await arrive(*(head[at : at + 1] for at in range(len(head))))
    assert arrival.handshake is not None
    assert arrival.handshake.path == "/chat"


@pytest.mark.parametrize("behind", [b"?", client_text("early"), b"\n", b"\r\n\r\n"], ids=["H7", "H8", "LF", "CRLF"])
async def test_bytes_behind_an_upgrade(behind: bytes) -> None:
    """They are frames, whatever they look like, and are handed on untouched."""
    arrival = await arrive(upgrade() + behind)
    assert arrival.handshake is not None
    assert arrival.data == behind


async def test_a_plain_request() -> None:
    """It is for the HTTP side, with every byte that was read, body and pipelined requests included."""
    assert await arrive(PLAIN[:10], PLAIN[10:] + b"more") == Arrival(None, PLAIN + b"more")


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(upgrade(upgrade=b"h2c"), id="H21"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", id="HTTP/1.0"),
    ],
)
async def test_what_else_the_http_side_gets(head: bytes) -> None:
    """Whatever is a request and no upgrade to WebSocket."""
    assert await arrive(head) == Arrival(None, head)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(b"GET http://Example.com/a?b", b"GET /a?b", id="whole"),
        pytest.param(b"GET https://example.com?b", b"GET /?b", id="without a path"),
        pytest.param(b"GET http://example.com", b"GET /", id="host alone"),
        pytest.param(b"OPTIONS *", b"OPTIONS *", id="the server as a whole"),
    ],
)
@pytest.mark.parametrize("behind", [b"", b"GET http://example.com/c HTTP/1.1\r\n"])
async def test_h17_the_http_side_gets_a_path(line: bytes, expected: bytes, behind: bytes) -> None:
    """A target may be a whole URL, and is its path for what comes next. What lies behind the head is left alone."""
    rest = b" HTTP/1.1\r\nHost: example.com\r\nReferer: " + line.split()[1] + b"\r\n\r\n" + behind
    assert await arrive(line + rest) == Arrival(None, expected + rest)


@pytest.mark.parametrize("target", [b"@evil.com/", b"http://evil.com/", b"*", b"example.com:80", b"a/b"])
async def test_h17_a_target_without_a_path(target: bytes) -> None:
    """It is refused before an application can put it behind a host."""
    with pytest.raises(RequestError) as caught:
        await arrive(b"GET " + target + b" HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert caught.value.status == 400


async def test_http2() -> None:
    """A client that knows that we speak HTTP/2 begins with its preface, which is no request."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    assert await arrive(preface) == Arrival(None, preface)


async def test_http2_is_not_changed_to() -> None:
    """On a connection that was kept it is a request with a version that there is not."""
    with pytest.raises(RequestError) as caught:
        await read_arrival(Source(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").receive_some, LIMITS, first=False)
    assert caught.value.status == 505


# What it must not be


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_two_lengths(version: bytes) -> None:
    """A body with a length and in chunks is smuggled in somewhere, whoever is right about its end."""
    head = b"POST / HTTP/%s\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n" % version
    assert (await refusal_of(head + b"0\r\n\r\nG")).status == 400


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), id="H40-TLS"),
        pytest.param(bytes(4096), id="H40-zeros"),
        pytest.param(b"\x93\x1f\xc8\n\r\n\r\n" * 500, id="H40-noise"),
        pytest.param(client_text("hello"), id="H40-frame"),
        pytest.param(b"\r\n" + PLAIN, id="blank-line-first"),  # h11 would not have it either
    ],
)
async def test_noise(noise: bytes) -> None:
    """What cannot begin a request is 400 at its first byte."""
    assert (await refusal_of(noise[:1])).status == 400
    assert (await refusal_of(noise)).status == 400


async def test_letters_that_are_no_request() -> None:
    """What could begin a request is judged when its head is whole."""
    assert (await refusal_of(b"HELO example.com\r\n\r\n")).status == 400


@pytest.mark.parametrize("cut", [1, 20, 1000])
async def test_h12_lines_that_end_with_a_bare_line_feed(cut: int) -> None:
    """Their head would never end for us, so the first of them is 400 at once, without waiting for the rest."""
    head = PLAIN.replace(b"\r\n", b"\n")
    error = await refusal_of(head[:cut], head[cut:])
    assert (error.status, error.detail) == (400, "Lines must end with CR and LF.")


async def test_h22_connect() -> None:
    """Who takes us for a proxy is told that we are none."""
    error = await refusal_of(upgrade(method=b"CONNECT", target=b"victim.com:443", upgrade=None))
    assert error.status == 405


async def test_a_wrong_upgrade() -> None:
    """The refusal of the handshake comes through."""
    assert (await refusal_of(upgrade(sec_websocket_version=b"8"))).status == 426


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"], ids=["H25-no-end", "H23-with-end"])
@pytest.mark.parametrize("step", [1, 1000, 100_000])
async def test_a_head_that_is_too_large(end: bytes, step: int) -> None:
    """It is 431 as soon as the limit is passed; nothing is read beyond."""
    data = b"GET /" + b"x" * 64 * 1024 + end
    source = Source(*(data[at : at + step] for at in range(0, len(data), step)))
    with pytest.raises(RequestError) as caught:
        await read_arrival(source.receive_some, LIMITS)
    assert caught.value.status == 431
    left = sum(map(len, source.reads))
    assert len(data) - left < LIMITS.request_head + 1 + step


async def test_a_head_of_exactly_the_limit() -> None:
    """The limit itself is allowed, and bytes behind the head do not count."""
    limits = attrs.evolve(LIMITS, request_head=len(upgrade()))
    arrival = await arrive(upgrade() + b"x" * 10_000, limits=limits)
    assert arrival.data == b"x" * 10_000
    smaller = attrs.evolve(LIMITS, request_head=len(upgrade()) - 1)
    assert (await refusal_of(upgrade(), limits=smaller)).status == 431


# Time


async def test_h28_silence(autojump_clock: MockClock) -> None:
    """A client that says nothing is dropped at the deadline, without an answer."""
    assert await read_arrival(Source().receive_some, LIMITS) is None
    assert trio.current_time() == LIMITS.handshake_timeout


async def test_h27_a_byte_per_second(autojump_clock: MockClock) -> None:
    """The deadline is for the whole head, however busy the client looks; the answer is 408."""
    head = upgrade()
    source = Source(*(head[at : at + 1] for at in range(len(head))), every=1)
    with pytest.raises(RequestError) as caught:
        await read_arrival(source.receive_some, LIMITS)
    assert caught.value.status == 408
    assert trio.current_time() == LIMITS.handshake_timeout


@pytest.mark.parametrize("begun", [b"", b"GET", upgrade()[:-1]])
async def test_a_client_that_leaves(begun: bytes) -> None:
    """There is nobody to answer."""
    reads = [begun] if begun else []
    assert await read_arrival(Source(*reads, leaves=True).receive_some, LIMITS) is None


async def test_a_cancelled_arrival(autojump_clock: MockClock) -> None:
    """Cancelling it is no timeout."""
    with trio.move_on_after(1) as scope:
        await read_arrival(Source(b"GET").receive_some, LIMITS)
    assert scope.cancelled_caught
