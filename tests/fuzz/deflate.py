"""permessage-deflate: what a client may offer, and the frames that it may send when that was agreed on."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Hashable
from functools import cache

from websockets.exceptions import InvalidHeader
from websockets.headers import parse_extension

from wsframework.compression import Deflate
from wsframework.errors import ProtocolError
from wsframework.server.deflate import Agreement, Inflater, negotiate
from wsframework.server.framereader import FrameReader
from wsframework.server.frames import Close, Event

from .frames import MASKS, FrameStream, describe, encode, kind_of, read_all, shorten, split
from .target import Target, cuttings, within_time

LIMITS = [(125, 3), (1000, 5), (70_000, 64)]
OPTIONS = [Deflate(), Deflate(context_takeover=True), Deflate(window_bits=9, context_takeover=True)]
Read = Callable[[list[bytes]], list[Event]]
Parameters = dict[str, str | None]
NAME = "permessage-deflate"
PARAMETERS = (
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
)


class ExtensionOffers(Target):
    """The Sec-WebSocket-Extensions headers of a request, one in each line.

    What must hold: an offer is declined or accepted, and nothing is raised; and what is answered is something that the
    client has offered, with no wider windows than it allows (RFC 7692 section 7.1).
    """

    name = "offers"
    words = (
        b"permessage-deflate",
        *(name.encode() for name in PARAMETERS),
        b"=8",
        b"=9",
        b"=15",
        b"=16",
        b"=010",
        b'="10"',
        b"=-9",
        b"=9.0",
        b"__proto__",
        b"constructor",
        b"; ",
        b", ",
        b"=",
        b'"',
        b"\\",
        b"\n",
        b"\t ",
        b"x-webkit-deflate-frame",
    )

    inputs = 3000

    def __init__(self) -> None:
        self.mutations = (insert_parameter,)

    def check(self, data: bytes) -> Hashable:
        values = bytes(byte & 0x7F for byte in data).split(b"\n")
        kinds = []
        for options in OPTIONS:
            agreement = within_time(lambda options=options: negotiate(values, options))  # type: ignore[misc]
            if agreement is not None:
                self._check_agreement(agreement, values, options)
            kinds.append(agreement)
        return tuple(kinds), sum(word in data for word in self.words)

    def _check_agreement(self, agreement: Agreement, values: list[bytes], options: Deflate) -> None:
        ((name, pairs),) = parse_extension(agreement.extension)
        answer = dict(pairs)
        assert name == NAME
        assert len(answer) == len(pairs)
        assert set(answer) <= set(PARAMETERS)
        offers = [dict(parameters) for value in values for name, parameters in parsed(value) if name == NAME]
        assert any(is_answer_to(offer, answer) for offer in offers), f"{answer} answers none of {offers}"
        assert 9 <= agreement.window_bits <= options.window_bits
        assert agreement.window_bits == int(answer.get("server_max_window_bits") or 15)
        assert agreement.client_window_bits >= int(answer.get("client_max_window_bits") or 15)
        assert agreement.takeover == ("server_no_context_takeover" not in answer)
        assert agreement.client_takeover == ("client_no_context_takeover" not in answer)
        assert options.context_takeover or not (agreement.takeover or agreement.client_takeover)


def parsed(value: bytes) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """The extensions in a header; none if it cannot be read."""
    try:
        return parse_extension(value.decode())
    except InvalidHeader:
        return []


def is_answer_to(offer: Parameters, answer: Parameters) -> bool:
    """This is what a server may answer to that offer."""
    wide = [offer[name] for name in PARAMETERS[2:] if offer.get(name) is not None]
    return (
        set(offer) <= set(PARAMETERS)
        and all(re.fullmatch("9|1[0-5]", bits or "") for bits in wide)
        and ("server_no_context_takeover" not in offer or "server_no_context_takeover" in answer)
        and window(answer, "server_max_window_bits") <= window(offer, "server_max_window_bits")
        and ("client_max_window_bits" not in answer or "client_max_window_bits" in offer)
        and window(answer, "client_max_window_bits") <= window(offer, "client_max_window_bits")
    )


def window(parameters: Parameters, name: str) -> int:
    return int(parameters.get(name) or 15)


class DeflatedStream(FrameStream):
    """Frames of a client that may compress them.

    What must hold is the same as without, but for two things. Which violation is reported, broken data or too much of
    it, may depend on how the bytes are cut: zlib throws away what it has inflated before an error. And a message that
    was inflated is compared with what zlib makes of it in one go.
    """

    name = "deflate"
    inputs = 200

    def __init__(self) -> None:
        super().__init__()
        self.mutations = (*self.mutations, insert_message, insert_message, damage_message)

    def check(self, data: bytes) -> Hashable:
        ends = [frame.end for frame in split(data)]
        kinds = []
        for max_message, max_fragments in LIMITS:
            for takeover in (False, True):
                read = self._reader(max_message, max_fragments, takeover)
                events = read([data])
                for event in events[:-1]:
                    assert not isinstance(event, (ProtocolError, Close)), "events behind the last one"
                for event in events:
                    if isinstance(event, (str, bytes)):
                        assert len(event if isinstance(event, bytes) else event.encode()) <= max_message
                seen = [comparable(event) for event in events]
                for pieces in cuttings(data, ends)[1:]:
                    again = [comparable(event) for event in read(pieces)]
                    assert again == seen, (
                        f"cut into {shorten([*map(len, pieces)])}: {shorten(again)}, whole: {shorten(seen)}"
                    )
                kinds.append(frozenset(kind_of(event) for event in events))
            inflated_plainly(data, read([data]))
        return tuple(kinds)

    def measure(self, data: bytes) -> None:
        # With the smallest limit that lets anything be inflated: it is what a message may become that is bounded.
        reader = FrameReader(1000)
        reader.expect_compression(Inflater(15, takeover=True))
        read_all(reader, [data])

    def _reader(self, max_message: int, max_fragments: int, takeover: bool) -> Read:
        def read(pieces: list[bytes]) -> list[Event]:
            reader = FrameReader(max_message, max_fragments)
            reader.expect_compression(Inflater(15, takeover))
            return read_all(reader, pieces)

        return lambda pieces: within_time(lambda: read(pieces), len(pieces))


def comparable(event: Event) -> tuple[object, ...]:
    if isinstance(event, ProtocolError) and event.code in (1007, 1009):
        return ("violation", "1007 or 1009")
    return describe(event)


def inflated_plainly(data: bytes, events: list[Event]) -> None:
    """The first message, if it is whole and compressed, is what zlib makes of it in one go."""
    payload = b""
    for number, frame in enumerate(frame for frame in split(data) if frame.opcode < 8):
        if number == 0 and not frame.first & 0x40:
            return
        payload += frame.payload
        if frame.fin:
            break
    else:
        return
    messages = [event for event in events if isinstance(event, (str, bytes))]
    if messages:
        first = messages[0] if isinstance(messages[0], bytes) else messages[0].encode()
        assert first == zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")


# Mutations


def insert_parameter(chance: random.Random, data: bytes) -> bytes:
    """One more parameter, behind any other."""
    value = chance.choice(("", "=8", "=9", "=12", "=15", '="11"', "=x"))
    parts = data.split(b";")
    parts.insert(chance.randrange(1, len(parts) + 1), f" {chance.choice(PARAMETERS)}{value}".encode())
    return b";".join(parts)


MESSAGES = [b"", b"Hello", b"Hello" * 30, "\U0001f600".encode() * 20, bytes(1000), bytes(70_000), bytes(2 << 20)]


@cache
def deflate(number: int, level: int, window_bits: int, memory_level: int, ending: int) -> bytes:
    """Compress a message in one of the ways in which a peer may."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -window_bits, memory_level)
    deflated = compressor.compress(MESSAGES[number]) + compressor.flush(ending)
    return deflated.removesuffix(b"\x00\x00\xff\xff") + (b"\x00" if ending == zlib.Z_FINISH else b"")


def insert_message(chance: random.Random, data: bytes) -> bytes:
    """A compressed message, in one frame or in a few."""
    payload = deflate(
        chance.randrange(len(MESSAGES)),
        chance.choice((0, 1, 9)),
        chance.choice((9, 15)),
        chance.choice((1, 8)),
        chance.choice((zlib.Z_SYNC_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_FINISH)),
    )
    frames, first = b"", chance.choice((0x41, 0x42))
    for _ in range(chance.choice((0, 0, 1, 3))):
        at = chance.randrange(len(payload) + 1)
        frames += encode(first, payload[:at], chance.choice(MASKS))
        payload, first = payload[at:], 0
    frames += encode(first | 0x80, payload, chance.choice(MASKS))
    places = [0, *(frame.end for frame in split(data))]
    at = chance.choice(places)
    return data[:at] + frames + data[at:]


def damage_message(chance: random.Random, data: bytes) -> bytes:
    """Change a bit of what a frame says, below its mask."""
    frames = [frame for frame in split(data) if frame.payload]
    if not frames:
        return data
    frame = chance.choice(frames)
    payload = bytearray(frame.payload)
    payload[chance.randrange(len(payload))] ^= 1 << chance.randrange(8)
    return data[: frame.begin] + encode(frame.first, bytes(payload), chance.choice(MASKS)) + data[frame.end :]
