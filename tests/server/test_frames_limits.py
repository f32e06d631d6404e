"""What a client can make the frame reader hold or do: never more than its limits, and never more than its bytes ask."""

import codecs
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.server.builders import client_frame, client_header
from wsframework import CloseCode
from wsframework.errors import ProtocolError
from wsframework.server import framereader, partial
from wsframework.server.deflate import DeflatedFrames, Inflater, deflate_message
from wsframework.server.framereader import FrameReader
from wsframework.server.frames import Event, Opcode

KIB = 1024
MIB = 1024 * KIB


def is_too_big(events: list[Event]) -> bool:
    [event] = events
    return isinstance(event, ProtocolError) and event.code == CloseCode.MESSAGE_TOO_BIG


@contextmanager
def peak_below(limit: int) -> Iterator[None]:
    """Fail if more bytes than that are allocated at one time inside the block."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < limit


# The size of a message


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
@pytest.mark.parametrize("limit", [1, 10, 125, 126, 127, 1000, 0xFFFF, 0x10000])
def test_a_message_may_be_as_large_as_the_limit(limit: int, opcode: Opcode) -> None:
    """The limit itself is allowed and one byte more is 1009, in one read, in two, and in fragments."""
    whole = client_frame(opcode, b"x" * limit)
    assert len(FrameReader(limit).feed(whole)) == 1
    assert is_too_big(FrameReader(limit).feed(client_frame(opcode, b"x" * (limit + 1))))

    reader = FrameReader(limit)
    assert len(reader.feed(whole[:7]) + reader.feed(whole[7:])) == 1

    begun = client_frame(opcode, b"x" * limit, fin=False)
    assert len(FrameReader(limit).feed(begun + client_frame(Opcode.CONTINUATION))) == 1
    assert is_too_big(FrameReader(limit).feed(begun + client_frame(Opcode.CONTINUATION, b"x")))


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(2**63 - 1, id="F2-length-2^63-1"),
        pytest.param(1024 * MIB, id="F2-1-GiB"),
        pytest.param(40 * MIB, id="F12-40-MiB"),
        pytest.param(MIB + 1, id="F12-limit-and-1"),
    ],
)
@pytest.mark.parametrize("arrival", ["alone", "with two bytes", "byte by byte"])
def test_a_size_is_refused_on_the_header_alone(size: int, arrival: str) -> None:
    """A length that is too large is 1009 as soon as it has been read, and nothing is allocated for it."""
    header = client_header(Opcode.BINARY, size)[:10]  # even the mask is not needed
    reader = FrameReader(MIB)
    with peak_below(16 * KIB):
        match arrival:
            case "alone":
                events = reader.feed(header)
            case "with two bytes":
                events = reader.feed(header + b"??")
            case _:
                events = [event for at in range(10) for event in reader.feed(header[at : at + 1])]
    assert is_too_big(events)
    assert reader.feed(b"x" * 100) == []


def test_a_fragment_is_refused_on_its_header_alone() -> None:
    """The limit holds for the sum, and the header of the fragment that would break it is enough."""
    reader = FrameReader(1000)
    assert reader.feed(client_frame(Opcode.TEXT, b"x" * 600, fin=False)) == []
    assert is_too_big(reader.feed(client_header(Opcode.CONTINUATION, 401)))


def test_f13_fragments_without_end() -> None:
    """Fragments that never end are 1009 at the limit; what follows is dropped and not kept."""
    fragment = client_frame(Opcode.CONTINUATION, b"x" * 64 * KIB, fin=False)
    reader = FrameReader(MIB)
    with peak_below(4 * MIB):
        events = reader.feed(client_frame(Opcode.BINARY, b"", fin=False))
        for _ in range(256):
            events += reader.feed(fragment)
    assert is_too_big(events)


def test_a_limit_is_for_one_message() -> None:
    """Every message starts from zero, whole ones and fragmented ones."""
    reader = FrameReader(10)
    for _ in range(5):
        assert reader.feed(client_frame(Opcode.TEXT, b"x" * 10)) == ["x" * 10]
        data = client_frame(Opcode.TEXT, b"x" * 5, fin=False) + client_frame(Opcode.CONTINUATION, b"x" * 5)
        assert reader.feed(data) == ["x" * 10]


def test_a_control_frame_does_not_count() -> None:
    """The limit of a message is no limit of the pings in between."""
    data = client_frame(Opcode.TEXT, b"x" * 10, fin=False)
    data += client_frame(Opcode.PING, b"x" * 125)
    data += client_frame(Opcode.CONTINUATION)
    assert FrameReader(10).feed(data)[1:] == ["x" * 10]


# The number of fragments


def test_a_message_may_have_as_many_fragments_as_the_limit() -> None:
    """The limit itself is allowed; one fragment more is 1009, however small they all are."""
    begun = client_frame(Opcode.TEXT, fin=False) + client_frame(Opcode.CONTINUATION, fin=False)
    assert FrameReader(MIB, 3).feed(begun + client_frame(Opcode.CONTINUATION)) == [""]
    reader = FrameReader(MIB, 3)
    assert reader.feed(begun + client_frame(Opcode.CONTINUATION, fin=False)) == []
    assert is_too_big(reader.feed(client_frame(Opcode.CONTINUATION)))


def test_fragments_are_counted_for_one_message() -> None:
    """Every message starts from zero, and control frames are no fragments."""
    reader = FrameReader(MIB, 2)
    for _ in range(5):
        assert reader.feed(client_frame(Opcode.TEXT, b"a", fin=False)) == []
        for _ in range(5):
            assert len(reader.feed(client_frame(Opcode.PING))) == 1
        assert reader.feed(client_frame(Opcode.CONTINUATION, b"b")) == ["ab"]
        assert reader.feed(client_frame(Opcode.TEXT, b"x" * 200)) == ["x" * 200]


# The cost


@pytest.mark.no_cover  # a hundred thousand reads, of which the tracer would take most
def test_f16_a_message_in_single_bytes_is_held_once() -> None:
    """There is one buffer for a message that is arriving, and no object per read."""
    size = 128 * KIB
    frame = client_frame(Opcode.BINARY, b"x" * size)
    last = len(frame) - 1
    reader = FrameReader(MIB)
    with peak_below(size + size // 4):
        for at in range(last):
            assert not reader.feed(frame[at : at + 1])
    assert reader.feed(frame[last:]) == [b"x" * size]


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_every_byte_is_handled_once(opcode: Opcode, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unmasking and checking cost what the payload has in bytes, in whatever pieces it arrives."""
    unmasked = checked = 0

    def count_mask(data: bytes, mask: bytes) -> bytes:
        nonlocal unmasked
        unmasked += len(data)
        return bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))

    class CountingDecoder(codecs.getincrementaldecoder("utf-8")):  # type: ignore[misc]
        def decode(self, data: bytes, final: bool = False) -> str:
            nonlocal checked
            checked += len(data)
            return super().decode(data, final)

    monkeypatch.setattr(framereader, "apply_mask", count_mask)
    monkeypatch.setattr(partial, "_utf8_decoder", CountingDecoder)
    size = 5000
    data = client_frame(opcode, b"x" * size, fin=False) + client_frame(Opcode.CONTINUATION, b"x" * size)
    reader = FrameReader(MIB)
    events = [event for at in range(0, len(data), step) for event in reader.feed(data[at : at + step])]
    assert len(events) == 1
    assert unmasked == 2 * size
    assert checked == (2 * size if opcode == Opcode.TEXT else 0)


# Turns


def turns(reader: FrameReader, data: bytes) -> list[list[Event]]:
    """What a read gives, call by call."""
    events = [reader.feed(data)]
    while reader.behind:
        events.append(reader.feed(b""))
    return events


@pytest.mark.parametrize(
    "frame",
    [client_frame(Opcode.TEXT), client_frame(Opcode.PING, b"?"), client_frame(Opcode.PONG)],
    ids=["texts", "pings", "pongs"],
)
def test_a_flood_of_small_frames_in_one_read(frame: bytes) -> None:
    """Ten thousand frames in one read come in turns, all of them, and nothing is left behind."""
    reader = FrameReader(MIB)
    with peak_below(2 * MIB):
        sizes = [len(events) for events in turns(reader, frame * 10_000)]
    assert sum(sizes) == 10_000
    assert max(sizes) == 64
    assert reader.feed(client_frame(Opcode.TEXT, b"x")) == ["x"]


def test_a_flood_of_empty_fragments_in_one_read() -> None:
    """Frames that make no event take turns too."""
    reader = FrameReader(MIB)
    begun = client_frame(Opcode.TEXT, b"x", fin=False)
    last = client_frame(Opcode.CONTINUATION)
    calls = turns(reader, begun + client_frame(Opcode.CONTINUATION, fin=False) * 1000 + last)
    assert len(calls) == 16
    assert calls[-1] == ["x"]
    assert not any(calls[:-1])


@pytest.mark.parametrize("frames", [63, 64, 65])
@pytest.mark.parametrize("cut", [0, 1, 2, 5])
def test_what_comes_while_a_rest_waits(frames: int, cut: int) -> None:
    """More bytes go behind the rest, which may end in the middle of a frame."""
    reader = FrameReader(MIB)
    data = b"".join(client_frame(Opcode.BINARY, b"%d" % at) for at in range(frames))
    last = client_frame(Opcode.BINARY, b"last")
    events = reader.feed(data + last[:cut])
    assert reader.behind == (frames == 65 or (frames == 64 and cut >= 2))
    events += [event for call in turns(reader, last[cut:]) for event in call]
    assert events == [*(b"%d" % at for at in range(frames)), b"last"]


@pytest.mark.parametrize(
    "last",
    [client_frame(Opcode.CLOSE), client_frame(3)],
    ids=["a close frame", "a violation"],
)
def test_the_end_behind_a_rest(last: bytes) -> None:
    """It comes behind everything before it, and nothing comes behind it."""
    reader = FrameReader(MIB)
    calls = turns(reader, client_frame(Opcode.TEXT) * 64 + last + client_frame(Opcode.TEXT) * 64)
    assert [len(events) for events in calls] == [64, 1]
    assert reader.feed(client_frame(Opcode.TEXT)) == []


def test_an_end_drops_the_rest() -> None:
    """Whoever ends the reader wants nothing of it."""
    reader = FrameReader(MIB)
    reader.feed(client_frame(Opcode.TEXT) * 100)
    assert reader.behind
    reader.end()
    assert not reader.behind
    assert reader.feed(b"") == []


@pytest.mark.parametrize(("size", "most"), [(200_000, 1), (100_000, 2), (1, 8)])
def test_messages_that_inflate_take_turns(size: int, most: int) -> None:
    """A call ends with the message that passes the bound, so what it gives is bounded, however short the frames."""
    deflater = DeflatedFrames(15, 9, 8, 0)
    payload = deflate_message(deflater.start(), bytes(size))
    reader = FrameReader(MIB, max_inflated=150_000)
    reader.expect_compression(Inflater(15, False))
    calls = turns(reader, client_frame(Opcode.BINARY, payload, reserved=4) * 8)
    assert [event for events in calls for event in events] == [bytes(size)] * 8
    assert max(len(events) for events in calls) == most
    assert reader.inflated == 8 * size
