"""The frame stream: `FrameReader.feed`, with any bytes, cut in any way, with limits small and large."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator

import attrs

from wsframework.close import may_travel
from wsframework.errors import ProtocolError
from wsframework.server.framereader import FrameReader
from wsframework.server.frames import Close, Event, Ping, Pong

from .target import Target, cuttings, within_time

# Largest message and most fragments: below and above each way to write a length, and what a server has by default.
LIMITS = [(1, 1), (16, 2), (125, 3), (1000, 5), (70_000, 64), (1 << 20, 4096)]

Seen = tuple[object, ...]


class FrameStream(Target):
    """Whatever a client sends behind the handshake.

    What must hold: nothing is raised; a violation or a close frame is the last event; the same bytes give the same
    events however they are cut, which also compares the way of a short whole frame with the long way; and the events
    of whole frames are what a reader finds that follows the RFC word by word, and knows nothing of speed.
    """

    name = "frames"

    def __init__(self) -> None:
        self.mutations = (insert_frame, drop_frame, repeat_frame, swap_frames, change_header, change_payload)

    def check(self, data: bytes) -> Hashable:
        frames = list(split(data))
        ends = [frame.end for frame in frames]
        kinds = []
        for max_message, max_fragments in LIMITS:
            events = self._read([data], max_message, max_fragments)
            for event in events[:-1]:
                assert not isinstance(event, (ProtocolError, Close)), "events behind the last one"
            seen = [describe(event) for event in events]
            for pieces in cuttings(data, ends)[1:]:
                again = [describe(event) for event in self._read(pieces, max_message, max_fragments)]
                assert again == seen, (
                    f"cut into {shorten([*map(len, pieces)])}: {shorten(again)}, whole: {shorten(seen)}"
                )
            compare(seen, expected(frames, max_message, max_fragments))
            kinds.append(frozenset(kind_of(event) for event in events))
        return tuple(kinds)

    def measure(self, data: bytes) -> None:
        read_all(FrameReader(1 << 20), [data])

    def _read(self, pieces: list[bytes], max_message: int, max_fragments: int) -> list[Event]:
        def read() -> list[Event]:
            reader = FrameReader(max_message, max_fragments)
            return read_all(reader, pieces)

        return within_time(read, len(pieces))


def read_all(reader: FrameReader, pieces: list[bytes]) -> list[Event]:
    """Feed all of it, and have the reader go on where it stops to let others have a turn."""
    events: list[Event] = []
    for piece in pieces:
        events += reader.feed(piece)
        while reader.behind:
            events += reader.feed(b"")
    return events


def shorten(seen: object) -> str:
    """What fits on a screen."""
    words = repr(seen)
    return words if len(words) <= 2000 else f"{words[:2000]}… ({len(words)} characters)"


def describe(event: Event) -> Seen:
    """What can be compared: text is not the same as bytes, and exceptions are never equal."""
    if isinstance(event, ProtocolError):
        return ("violation", event.code, event.reason)
    return (type(event).__name__, event)


def kind_of(event: Event) -> Hashable:
    match event:
        case ProtocolError(code=code, reason=reason):
            return code, reason
        case Close(code):
            return "close", code
    return type(event).__name__


def mask_payload(payload: bytes, mask: bytes) -> bytes:
    """Mask or unmask as section 5.3 has it: all bytes at once, as one large number."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


# A second reader, slow and plain


@attrs.frozen
class Frame:
    """A whole frame in a stream, right or wrong."""

    first: int
    masked: bool
    shortest: bool
    payload: bytes
    begin: int
    end: int

    @property
    def opcode(self) -> int:
        return self.first & 0x0F

    @property
    def fin(self) -> bool:
        return bool(self.first & 0x80)


def split(data: bytes) -> Iterator[Frame]:
    """The whole frames at the beginning of a stream (RFC 6455 section 5.2)."""
    at = 0
    while len(data) - at >= 2:
        first, second = data[at], data[at + 1]
        field = {126: 2, 127: 8}.get(second & 0x7F, 0)
        size = int.from_bytes(data[at + 2 : at + 2 + field], "big") if field else second & 0x7F
        masked = bool(second & 0x80)
        body = at + 2 + field + 4 * masked
        end = body + size
        if end > len(data) or (field and len(data) - at < 2 + field):
            return
        payload = data[body:end]
        if masked:
            payload = mask_payload(payload, data[body - 4 : body])
        shortest = size >= {0: 0, 2: 126, 8: 0x10000}[field]
        yield Frame(first, masked, shortest, payload, at, end)
        at = end


@attrs.define
class Expected:
    """What whole frames mean: events, and the codes of which one must follow, if anything is wrong with them."""

    events: list[Seen] = attrs.Factory(list)
    violation: set[int] = attrs.Factory(set)


def expected(frames: list[Frame], max_message: int, max_fragments: int) -> Expected:
    """Read frames as the RFC has it, one at a time."""
    result = Expected()
    message: list[Frame] = []
    for frame in frames:
        result.violation |= set(wrongs(frame, message, max_message, max_fragments))
        if result.violation:
            return result
        if frame.opcode < 8:
            message.append(frame)
            payload = b"".join(part.payload for part in message)
            if message[0].opcode == 1 and not may_be_text(payload, final=frame.fin):
                result.violation.add(1007)
                return result
            if frame.fin:
                result.events.append(("str", payload.decode()) if message[0].opcode == 1 else ("bytes", payload))
                message = []
        elif frame.opcode == 9:
            result.events.append(("Ping", Ping(frame.payload)))
        elif frame.opcode == 10:
            result.events.append(("Pong", Pong(frame.payload)))
        else:
            code = int.from_bytes(frame.payload[:2], "big") if frame.payload else 1005
            result.events.append(("Close", Close(code, frame.payload[2:].decode())))
            return result
    return result


def wrongs(frame: Frame, message: list[Frame], max_message: int, max_fragments: int) -> Iterator[int]:
    """The close codes that may answer this frame, if it is wrong; there can be more than one."""
    payload, opcode = frame.payload, frame.opcode
    if frame.first & 0x70 or not frame.masked or not frame.shortest or opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield 1002
    if opcode >= 8:
        if not frame.fin or len(payload) > 125:
            yield 1002
        if opcode == 8 and payload:
            if len(payload) == 1 or not may_travel(int.from_bytes(payload[:2], "big")):
                yield 1002
            if not may_be_text(payload[2:], final=True):
                yield 1007
        return
    if (opcode == 0) != bool(message):
        yield 1002
    before = sum(len(part.payload) for part in message)
    if before + len(payload) > max_message or len(message) >= max_fragments:
        yield 1009
        # Its text may be wrong too, and which of both is seen first is free.
        begun = b"".join(part.payload for part in message)
        if (message or [frame])[0].opcode == 1 and not may_be_text(begun + payload, final=frame.fin):
            yield 1007


def may_be_text(payload: bytes, *, final: bool) -> bool:
    """It is UTF-8, or, unless it is final, the beginning of some."""
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        return not final and error.reason == "unexpected end of data"
    return True


def compare(seen: list[Seen], expected: Expected) -> None:
    """Both readers agree on whole frames; of a frame that is not whole only ours knows something."""
    count = len(expected.events)
    assert seen[:count] == expected.events
    rest = seen[count:]
    if expected.violation:
        assert len(rest) == 1, f"{rest} where one of {expected.violation} was due"
        assert rest[0][1] in expected.violation, f"{rest} where one of {expected.violation} was due"
    else:
        assert not rest or rest[0][0] == "violation", f"events out of nothing: {rest}"


# Mutations

PAYLOADS = [
    b"",
    b"Hello",
    "κόσμε".encode(),
    "\U0001f600".encode() * 8,
    b"\xf0\x9f\x98",  # cut off in a character
    b"\xc0\xaf",  # overlong
    b"\xed\xa0\x80",  # a lone surrogate
    b"\xf4\x90\x80\x80",  # above the last code point
    b"\x00" * 125,
    b"\xfe" * 126,
    b"x" * 1001,
    b"\x03\xe8",
    b"\x03\xe8bye",
    b"\x03\xed",  # 1005 must not travel
    b"\x03",
    b"\x03\xe8\xff",
]
MASKS = [b"\x00" * 4, b"\xff" * 4, b"\x37\xfa\x21\x3d", b"\x80\x00\x00\x00"]
SIZES = [0, 1, 125, 126, 127, 0xFFFF, 0x10000, 0x10001, (1 << 20) + 1, (1 << 31) - 1, 1 << 31, (1 << 63) - 1, 1 << 63]


def encode(
    first: int, payload: bytes, mask: bytes | None, announced: int | None = None, field: int | None = None
) -> bytes:
    """Any frame at all. ``field`` is the width of the length, ``announced`` what it says."""
    size = len(payload) if announced is None else announced
    if field is None:
        field = 0 if size < 126 else 2 if size < 0x10000 else 8
    high = 0x80 if mask is not None else 0
    if field:
        length = bytes((high | (126 if field == 2 else 127),)) + (size % (1 << 8 * field)).to_bytes(field, "big")
    else:
        length = bytes((high | min(size, 125),))
    return bytes((first,)) + length + (b"" if mask is None else mask + mask_payload(payload, mask))


def any_frame(chance: random.Random) -> bytes:
    """A frame that is right more often than not: a stream ends at its first violation."""
    first = chance.choice((0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x89, 0x8A))
    payload = chance.choice(PAYLOADS[:4])
    mask: bytes | None = chance.choice(MASKS)
    announced = field = None
    match chance.randrange(12):
        case 0:
            first = chance.randrange(256)
        case 1:
            payload = chance.choice(PAYLOADS)
        case 2:
            mask = None
        case 3:
            announced = chance.choice(SIZES)
        case 4:
            field = chance.choice((0, 2, 8))
        case 5:
            first, payload = 0x88, chance.choice(PAYLOADS[-5:])
        case 6:
            payload = chance.randbytes(chance.choice((1, 124, 125, 126, 127, 300)))
    return encode(first, payload, mask, announced, field)


def pieces_of(data: bytes) -> list[bytes]:
    """The frames of a stream, and behind them what is none."""
    frames = list(split(data))
    end = frames[-1].end if frames else 0
    return [data[frame.begin : frame.end] for frame in frames] + ([data[end:]] if data[end:] else [])


def insert_frame(chance: random.Random, data: bytes) -> bytes:
    pieces = pieces_of(data)
    pieces.insert(chance.randrange(len(pieces) + 1), any_frame(chance))
    return b"".join(pieces)


def drop_frame(chance: random.Random, data: bytes) -> bytes:
    pieces = pieces_of(data)
    if pieces:
        del pieces[chance.randrange(len(pieces))]
    return b"".join(pieces)


def repeat_frame(chance: random.Random, data: bytes) -> bytes:
    pieces = pieces_of(data)
    if pieces:
        at = chance.randrange(len(pieces))
        pieces[at:at] = [pieces[at]] * chance.choice((1, 2, 70))
    return b"".join(pieces)


def swap_frames(chance: random.Random, data: bytes) -> bytes:
    pieces = pieces_of(data)
    chance.shuffle(pieces)
    return b"".join(pieces)


def change_header(chance: random.Random, data: bytes) -> bytes:
    """Another opcode, another bit, or another length before the same payload."""
    frames = list(split(data))
    if not frames:
        return data
    frame = chance.choice(frames)
    first = chance.choice((frame.first ^ 0x80, frame.first ^ 1 << chance.randrange(8), chance.randrange(256)))
    announced = chance.choice((None, None, len(frame.payload) + 1, max(0, len(frame.payload) - 1)))
    changed = encode(first, frame.payload, chance.choice(MASKS), announced, chance.choice((None, None, 2, 8)))
    return data[: frame.begin] + changed + data[frame.end :]


def change_payload(chance: random.Random, data: bytes) -> bytes:
    """Change what a frame says, and mask it anew, so that the change is seen where it was made."""
    frames = list(split(data))
    if not frames:
        return data
    frame = chance.choice(frames)
    at = chance.randrange(len(frame.payload) + 1)
    payload = frame.payload[:at] + chance.choice(PAYLOADS) + frame.payload[at + chance.randrange(3) :]
    return data[: frame.begin] + encode(frame.first, payload, chance.choice(MASKS)) + data[frame.end :]
