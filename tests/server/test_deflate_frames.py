"""Compressed messages, both ways: what is legal arrives, what is not has its code, and a bomb stops at the limit."""

from __future__ import annotations

import os
import tracemalloc
import zlib

import hypothesis
import hypothesis.strategies as st
import pytest
from hypothesis import given
from websockets.extensions.permessage_deflate import PerMessageDeflate

from tests.server.builders import client_frame, client_header, read_frames, splits
from wsframework import CloseCode
from wsframework.errors import ProtocolError
from wsframework.server.deflate import DeflatedFrames, Deflater, Inflater, deflated_frames
from wsframework.server.framereader import FrameReader
from wsframework.server.frames import Event, Opcode, Ping, encode_message

KIB = 1024
MIB = 1024 * KIB
settings = hypothesis.settings(deadline=None)
FRAMES = deflated_frames(12, 6, 5, 0)


def new_reader(limit: int = MIB, window_bits: int = 15, takeover: bool = False) -> FrameReader:
    reader = FrameReader(limit)
    reader.expect_compression(Inflater(window_bits, takeover))
    return reader


def read(*frames: bytes, limit: int = MIB) -> list[Event]:
    return new_reader(limit).feed(b"".join(frames))


def deflate(payload: bytes, compressor: zlib._Compress | None = None) -> bytes:
    compressor = compressor or zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def compressed(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A frame with that payload as it is, marked as compressed."""
    return client_frame(opcode, payload, reserved=4, fin=fin)


def code_of(events: list[Event]) -> int:
    [event] = events
    assert isinstance(event, ProtocolError)
    return event.code


# What clients send


@pytest.mark.parametrize(
    "message", ["", "a", "Grüße " * 100, "x" * 200_000, b"", b"\xff\x00" * 5000, os.urandom(70_000)]
)
def test_a_compressed_message(message: str | bytes) -> None:
    """It arrives as what it was before it was compressed."""
    payload = message.encode() if isinstance(message, str) else message
    opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
    assert read(compressed(opcode, deflate(payload))) == [message]


@pytest.mark.parametrize(
    "payload",
    [
        bytes.fromhex("f248cdc9c90700"),  # one block
        bytes.fromhex("000500faff48656c6c6f00"),  # without compression
        bytes.fromhex("f348cdc9c9070000"),  # a block that says it is the last
        bytes.fromhex("f348cdc9c90700"),  # the same, without the byte behind it
        bytes.fromhex("f24805000000ffffcac9c90700"),  # two blocks
    ],
)
def test_the_examples_of_the_rfc(payload: bytes) -> None:
    """Every way to say Hello in section 7.2.3 of RFC 7692 is read."""
    assert read(compressed(Opcode.TEXT, payload)) == ["Hello"]
    for cut in range(len(payload)):
        frames = (
            compressed(Opcode.TEXT, payload[:cut], fin=False),
            client_frame(Opcode.CONTINUATION, payload[cut:]),
        )
        assert read(*frames) == ["Hello"]


def test_a_window_that_is_kept() -> None:
    """With context takeover a message may refer to the one before it, and without it must not."""
    frames = [compressed(Opcode.TEXT, bytes.fromhex(payload)) for payload in ("f248cdc9c90700", "f200110000")]
    assert new_reader(takeover=True).feed(b"".join(frames)) == ["Hello", "Hello"]
    hello, error = read(*frames)
    assert hello == "Hello"
    assert code_of([error]) == CloseCode.INVALID_PAYLOAD


def test_a_last_block_with_context_takeover() -> None:
    """After a block that says it is the last, the next message begins a new stream."""
    last, fresh = (compressed(Opcode.TEXT, bytes.fromhex(data)) for data in ("f348cdc9c9070000", "f248cdc9c90700"))
    assert new_reader(takeover=True).feed(last + fresh + fresh) == ["Hello"] * 3


def test_a_last_block_behind_more_than_comes_out_at_a_time() -> None:
    """A stream that ends behind 64 KiB of output ends: what zlib then says is left over was never data."""
    compressor = zlib.compressobj(wbits=-15)
    payload = compressor.compress(b"a" * 100_000) + compressor.flush(zlib.Z_FINISH) + b"\0"
    assert new_reader().feed(compressed(Opcode.TEXT, payload)) == ["a" * 100_000]


def test_plain_and_compressed_messages_take_turns() -> None:
    """Each message says for itself whether it is compressed, and pings come in between."""
    payload = deflate(b"compressed")
    events = read(
        client_frame(Opcode.TEXT, b"plain"),
        compressed(Opcode.TEXT, payload[:3], fin=False),
        client_frame(Opcode.PING, b"?"),
        client_frame(Opcode.CONTINUATION, payload[3:]),
        client_frame(Opcode.TEXT, b"pl", fin=False),
        client_frame(Opcode.CONTINUATION, b"ain"),
    )
    assert events == ["plain", Ping(b"?"), "compressed", "plain"]


@pytest.mark.parametrize(
    "frames",
    [
        [compressed(Opcode.PING, b"")],
        [compressed(Opcode.CLOSE, b"")],
        [compressed(Opcode.CONTINUATION, b"x")],
        [client_frame(Opcode.TEXT, b"x", fin=False), compressed(Opcode.CONTINUATION, b"x")],
        [compressed(Opcode.TEXT, b"\x00", fin=False), compressed(Opcode.CONTINUATION, b"\x00")],
        [compressed(Opcode.TEXT, b"\x00", fin=False), client_frame(Opcode.TEXT, b"x")],
        [client_frame(Opcode.TEXT, b"\x00", reserved=6)],
        [client_frame(Opcode.TEXT, b"\x00", reserved=2)],
        [client_frame(Opcode.TEXT, b"\x00", reserved=1)],
        [compressed(3, b"\x00")],
    ],
)
def test_bits_where_they_must_not_be(frames: list[bytes]) -> None:
    """Only the first frame of a message is marked, and only with the bit that was agreed on: else 1002."""
    assert code_of(read(*frames)) == CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION, Opcode.PING])
def test_nothing_was_agreed_on(opcode: int) -> None:
    """Without compression every reserved bit is a violation."""
    assert code_of(FrameReader(MIB).feed(compressed(opcode, b"\x00"))) == CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "payload",
    [
        b"\x07",  # a kind of block that there is not
        b"\xff" * 10,
        b"Hello",
        bytes.fromhex("f348cdc9c90700") + b"\x01",  # something behind the last block
        bytes.fromhex("f348cdc9c90700") + deflate(b"x"),
        bytes.fromhex("0300") * 500,  # many last blocks
    ],
)
def test_broken_compression(payload: bytes) -> None:
    """Bytes that cannot be inflated end the connection with 1007, in one frame and in several."""
    assert code_of(read(compressed(Opcode.BINARY, payload))) == CloseCode.INVALID_PAYLOAD
    frames = [client_frame(Opcode.CONTINUATION, payload[at : at + 1], fin=False) for at in range(len(payload))]
    events = read(compressed(Opcode.BINARY, b"", fin=False), *frames, client_frame(Opcode.CONTINUATION))
    assert code_of(events) == CloseCode.INVALID_PAYLOAD


def test_text_that_is_not_utf8() -> None:
    """What is inflated is checked as it comes, so text that is wrong at its beginning ends there: 1007."""
    payload = deflate(b"\xff" + b"a" * 1000)
    assert code_of(read(compressed(Opcode.TEXT, payload))) == CloseCode.INVALID_PAYLOAD
    assert code_of(read(compressed(Opcode.TEXT, payload, fin=False))) == CloseCode.INVALID_PAYLOAD
    assert code_of(read(compressed(Opcode.TEXT, deflate("ü".encode()[:1])))) == CloseCode.INVALID_PAYLOAD


# The limits


def test_the_limit_is_that_of_the_message() -> None:
    """A message of exactly the limit is fine, however it was compressed; one byte more is 1009."""
    for payload in (bytes(MIB), os.urandom(MIB)):
        for level in (0, 9):
            whole = deflate(payload, zlib.compressobj(level, zlib.DEFLATED, -9, 1))
            assert read(compressed(Opcode.BINARY, whole)) == [payload]
            more = deflate(payload + b"x", zlib.compressobj(level, zlib.DEFLATED, -9, 1))
            assert code_of(read(compressed(Opcode.BINARY, more))) == CloseCode.MESSAGE_TOO_BIG


def bomb(size: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join(compressor.compress(bytes(MIB)) for _ in range(size // MIB)) + compressor.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
@pytest.mark.parametrize("pieces", [1, 16])
def test_a_bomb(opcode: int, pieces: int) -> None:
    """200 KiB that would become 200 MiB are refused with 1009, and never hold more than twice the limit."""
    payload = bomb(200 * MIB)
    step = len(payload) // pieces + 1
    reader = new_reader()
    data = b"".join(
        client_frame(Opcode.CONTINUATION, payload[at : at + step], fin=False, reserved=0)
        if at
        else compressed(opcode, payload[:step], fin=pieces == 1)
        for at in range(0, len(payload), step)
    )
    tracemalloc.start()
    try:
        events: list[Event] = []
        for at in range(0, len(data), 64 * KIB):
            events += reader.feed(data[at : at + 64 * KIB])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert code_of(events) == CloseCode.MESSAGE_TOO_BIG
    assert peak < 2 * MIB


def test_a_length_that_cannot_be() -> None:
    """A compressed frame that is larger than a message can become is refused on its header alone."""
    for size in (2 * MIB, 1 << 40):
        assert code_of(read(client_header(Opcode.TEXT, size, reserved=4))) == CloseCode.MESSAGE_TOO_BIG


def test_compression_that_leads_to_nothing() -> None:
    """Fragments of nothing are bounded as well: by the bytes that they have when compressed."""
    nothing = bytes.fromhex("000000ffff") * 2000
    reader = new_reader(limit=20_000)
    events = reader.feed(compressed(Opcode.TEXT, nothing, fin=False))
    while not events:
        events = reader.feed(client_frame(Opcode.CONTINUATION, nothing, fin=False))
    assert code_of(events) == CloseCode.MESSAGE_TOO_BIG


def test_a_plain_message_has_the_plain_limit() -> None:
    """What is not compressed gets nothing of the room for what cannot be compressed."""
    frame = client_frame(Opcode.BINARY, bytes(1001))
    assert code_of(read(frame, limit=1000)) == CloseCode.MESSAGE_TOO_BIG


@settings
@given(
    st.lists(st.text(max_size=300) | st.binary(max_size=300), max_size=6),
    st.lists(st.integers(0, 3000), max_size=12),
    st.booleans(),
)
def test_how_bytes_are_cut_does_not_matter(messages: list[str | bytes], cuts: list[int], takeover: bool) -> None:
    """A stream reads the same in whatever pieces it comes."""
    theirs = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b""
    for message in messages:
        payload = message.encode() if isinstance(message, str) else message
        opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
        data += compressed(opcode, deflate(payload, theirs if takeover else None))
    reader = new_reader(takeover=takeover)
    events = [event for piece in splits(data, [min(cut, len(data)) for cut in cuts]) for event in reader.feed(piece)]
    assert events == messages


@settings
@given(st.binary(max_size=200))
def test_whatever_comes(payload: bytes) -> None:
    """Any bytes at all are a message or a violation with 1007 or 1009."""
    [event] = read(compressed(Opcode.BINARY, payload), limit=10_000)
    if isinstance(event, ProtocolError):
        assert event.code in (CloseCode.INVALID_PAYLOAD, CloseCode.MESSAGE_TOO_BIG)
    else:
        assert isinstance(event, bytes)


# What we send


def client_extension(window_bits: int, takeover: bool) -> PerMessageDeflate:
    """The client's end of the agreement."""
    return PerMessageDeflate(not takeover, True, window_bits, 15)


def payloads(data: bytes, window_bits: int = 12, takeover: bool = False) -> list[bytes]:
    """What a client of the `websockets` library reads."""
    return [bytes(frame.data) for frame in read_frames(data, [client_extension(window_bits, takeover)])]


@pytest.mark.parametrize("message", ["", "Grüße " * 100, "x" * 100_000, b"", b"\xff" * 70_000])
def test_what_we_compress(message: str | bytes) -> None:
    """A client reads what we meant."""
    payload = message.encode() if isinstance(message, str) else message
    assert payloads(FRAMES.encode(message)) == [payload]
    assert payloads(Deflater(FRAMES).encode(message), takeover=True) == [payload]


def test_a_small_message_is_sent_plain() -> None:
    """Below the threshold compression gains nothing that is worth its time."""
    frames = DeflatedFrames(12, 6, 5, 10)
    for encode in (frames.encode, Deflater(frames).encode):
        assert encode("x" * 9) == encode_message("x" * 9)
        assert encode("x" * 10) != encode_message("x" * 10)
    assert frames.encode("ü" * 5) != encode_message("ü" * 5), "the threshold is in bytes"


def test_a_message_that_does_not_get_smaller_is_sent_plain() -> None:
    """Compressed data is not compressed again."""
    noise = os.urandom(5000)
    assert FRAMES.encode(noise) == encode_message(noise)


def test_one_format_for_the_same_options() -> None:
    """So that the hub, which encodes once per format, compresses once."""
    assert deflated_frames(12, 6, 5, 0) is FRAMES
    assert deflated_frames(11, 6, 5, 0) is not FRAMES


def test_the_window_is_kept_to() -> None:
    """A client that asked for the smallest window can read what we send."""
    message = os.urandom(700) * 20
    frames = deflated_frames(9, 9, 9, 0)
    assert payloads(frames.encode(message), window_bits=9) == [message]


def test_context_takeover_makes_messages_smaller() -> None:
    """The second message of a kind refers to the first."""
    deflater = Deflater(FRAMES)
    first, second = deflater.encode('{"temperature": 20.5}'), deflater.encode('{"temperature": 20.6}')
    assert len(second) < len(first) / 2
    assert payloads(first + second, takeover=True) == [b'{"temperature": 20.5}', b'{"temperature": 20.6}']


def test_a_deflater_that_starts_afresh() -> None:
    """After something that it has not seen it refers to nothing, and an inflater with a window reads all of it."""
    deflater = Deflater(FRAMES)
    data = deflater.encode("one one one") + FRAMES.encode("two two two")
    deflater.restart()
    data += deflater.encode("one two one two") + deflater.encode("one two three")
    assert payloads(data, takeover=True) == [b"one one one", b"two two two", b"one two one two", b"one two three"]
