"""permessage-deflate (RFC 7692), without I/O: what is agreed on, messages to compressed frames, payloads to bytes.

How clients share. A message that refers to nothing before it can be read by every client with the same agreement, or
with a larger window. So there is one `DeflatedFrames` for each set of options, and the hub, which encodes once per
format, compresses a broadcast once for all of them.

With context takeover a client's inflater remembers all compressed messages, in the order in which it got them, and a
connection's own `Deflater` refers back to what the inflater has. Two rules keep both in step:

* A `Deflater` compresses a message at the moment when it joins the bytes to be sent, where nothing is dropped or
  overtaken any more. A message that may still be cancelled, dropped or moved is never compressed by it.
* Whenever anything else goes out compressed, a broadcast, or a message that had lined up behind one, the deflater
  starts afresh. A fresh stream refers to nothing before its own beginning, so whatever the inflater has learned
  meanwhile does no harm. Messages without compression are in no window (section 7.2.3) and change nothing.

What a client sends is inflated piece by piece, so that whoever takes the pieces can stop at its limit (a kilobyte may
become a megabyte).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import attrs
from websockets.exceptions import InvalidHeader
from websockets.headers import parse_extension

from ..close import CloseCode
from ..compression import Deflate
from ..errors import ProtocolError
from .frames import COMPRESSED, COMPRESSED_BINARY, COMPRESSED_TEXT, FrameFormat, encode_first, encode_message

NAME = "permessage-deflate"

# What ends a compressed message and is not sent with it (section 7.2.1).
_TAIL = b"\x00\x00\xff\xff"

# What is left of a message behind a block that says that it is the last one (section 7.2.3.4).
_AFTER_LAST_BLOCK = (b"\x00" + _TAIL, _TAIL)

# Bytes that come out of an inflater at a time.
_PIECE = 64 * 1024

# zlib reads windows of 8 bits but writes 9 instead, and peers that use it do too: offers with 8 are declined.
_WINDOW_BITS = {str(bits): bits for bits in range(9, 16)}
_SMALLEST_WINDOW, _LARGEST_WINDOW = 9, 15


# What is agreed on


@attrs.frozen
class Agreement:
    """What the two sides have agreed on.

    Attributes:
        extension: our answer, as it stands in the header.
        window_bits: the window of our messages.
        client_window_bits: the window of the client's.
        takeover: our messages may refer back to earlier ones.
        client_takeover: so may the client's.
    """

    extension: str
    window_bits: int
    client_window_bits: int
    takeover: bool
    client_takeover: bool


def negotiate(offers: Iterable[bytes], deflate: Deflate) -> Agreement | None:
    """Take the first offer that can be accepted; None, and the connection goes without, if there is none.

    A client that cannot limit its own window has to do without context takeover, for the window would be ours to keep.

    Args:
        offers: the values of all Sec-WebSocket-Extensions headers, in order, which are ASCII.
        deflate: what we want.
    """
    for value in offers:
        try:
            extensions = parse_extension(value.decode("ascii"))
        except InvalidHeader:
            return None  # which part of it is meant for us is anybody's guess
        for name, parameters in extensions:
            if name == NAME:
                agreement = _accept(parameters, deflate)
                if agreement is not None:
                    return agreement
    return None


def _accept(parameters: Sequence[tuple[str, str | None]], deflate: Deflate) -> Agreement | None:
    offered = dict(parameters)
    if len(offered) != len(parameters):
        return None  # a name that stands twice (section 7)
    window_bits, client_window_bits = deflate.window_bits, _LARGEST_WINDOW
    takeover = client_takeover = deflate.context_takeover
    for name, value in offered.items():
        match name:
            case "server_no_context_takeover" if value is None:
                takeover = False
            case "client_no_context_takeover" if value is None:
                client_takeover = False
            case "server_max_window_bits" if value in _WINDOW_BITS:
                # Ours or the smallest, and nothing between: clients choose, and each size would be one more format in
                # which every broadcast is compressed.
                if _WINDOW_BITS[value] < window_bits:
                    window_bits = _SMALLEST_WINDOW
            case "client_max_window_bits" if value is None or value in _WINDOW_BITS:
                most = _LARGEST_WINDOW if value is None else _WINDOW_BITS[value]
                client_window_bits = min(deflate.window_bits, most)
            case _:
                return None  # unknown, or with a value that it cannot have (section 7)
    if client_window_bits > deflate.window_bits:
        client_takeover = False
    answer = [NAME]
    if not takeover:
        answer.append("server_no_context_takeover")
    if not client_takeover:
        answer.append("client_no_context_takeover")
    if window_bits < _LARGEST_WINDOW:
        answer.append(f"server_max_window_bits={window_bits}")
    if "client_max_window_bits" in offered and client_window_bits < _LARGEST_WINDOW:
        answer.append(f"client_max_window_bits={client_window_bits}")
    return Agreement("; ".join(answer), window_bits, client_window_bits, takeover, client_takeover)


# Messages out


class DeflatedFrames(FrameFormat):
    """Frames that refer to nothing before them: the same bytes for every client with this format."""

    def __init__(self, window_bits: int, level: int, memory_level: int, threshold: int) -> None:
        self._window_bits = window_bits
        self._level = level
        self._memory_level = memory_level
        self._threshold = threshold

    def encode(self, message: str | bytes) -> bytes:
        payload = message.encode() if isinstance(message, str) else message
        if len(payload) < self._threshold:
            return encode_message(message)
        deflated = deflate_message(self.start(), payload)
        if len(deflated) >= len(payload):
            return encode_message(message)
        return _frame(message, deflated)

    def start(self) -> zlib._Compress:
        """Make a compressor."""
        return zlib.compressobj(self._level, zlib.DEFLATED, -self._window_bits, self._memory_level)

    def compresses(self, payload: bytes) -> bool:
        """Say whether a message of this size is compressed at all."""
        return len(payload) >= self._threshold


@cache
def deflated_frames(window_bits: int, level: int, memory_level: int, threshold: int) -> DeflatedFrames:
    """Return the one format with these options."""
    return DeflatedFrames(window_bits, level, memory_level, threshold)


class Deflater:
    """The compressor of one connection with context takeover. Its messages must be sent in the order of the calls."""

    __slots__ = ("_format", "_zlib")

    def __init__(self, wire_format: DeflatedFrames) -> None:
        self._format = wire_format
        self._zlib: zlib._Compress | None = None

    def encode(self, message: str | bytes) -> bytes:
        payload = message.encode() if isinstance(message, str) else message
        if not self._format.compresses(payload):
            return encode_message(message)
        if self._zlib is None:
            self._zlib = self._format.start()
        return _frame(message, deflate_message(self._zlib, payload))

    def pass_by(self, encoded: bytes, messages: int) -> None:
        """Take note of messages that go out without this deflater. One that is not compressed changes nothing."""
        if messages > 1 or encoded[0] & COMPRESSED:  # of several, any may be
            self.restart()

    def restart(self) -> None:
        """Refer to nothing before: something went out that this deflater has not seen."""
        self._zlib = None


def deflate_message(compressor: zlib._Compress, payload: bytes) -> bytes:
    """Compress one message."""
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]


def _frame(message: str | bytes, deflated: bytes) -> bytes:
    return encode_first(COMPRESSED_TEXT if isinstance(message, str) else COMPRESSED_BINARY, deflated)


# Messages in


class Inflater:
    """Inflates the messages of one client. Without context takeover it keeps nothing between them."""

    __slots__ = ("_takeover", "_window_bits", "_zlib")

    def __init__(self, window_bits: int, takeover: bool) -> None:
        self._window_bits = window_bits
        self._takeover = takeover
        self._zlib: zlib._Decompress | None = None

    def inflate(self, data: bytes, final: bool) -> Iterator[bytes]:
        """Give what these bytes of a message inflate to, in pieces; ``final``: they are its last.

        Raises:
            ProtocolError: with 1007, they cannot be inflated. RFC 7692 names no code. A message whose bytes are not
                what its type says is what 1007 is for, and ws for Node.js closes with it too.
        """
        inflater = self._zlib
        if inflater is None:
            inflater = self._zlib = zlib.decompressobj(-self._window_bits)
        if final:
            data += _TAIL
        try:
            while data:
                piece = inflater.decompress(data, _PIECE)
                # Never empty while output is held back for lack of room: what ends a message is behind it.
                # Behind the end of a stream it may be what unused_data has too, for ever (CPython 3.11 to 3.13).
                data = b"" if inflater.eof else inflater.unconsumed_tail
                if piece:
                    yield piece
        except zlib.error as error:
            raise _cannot_inflate() from error
        if inflater.eof:
            self._check_last_block(inflater.unused_data, final)
        if final and (inflater.eof or not self._takeover):
            self._zlib = None

    def _check_last_block(self, rest: bytes, final: bool) -> None:
        """Nothing may come behind a block that says that it is the last one, but what ends a message."""
        if rest not in _AFTER_LAST_BLOCK if final else rest not in (b"", b"\x00"):
            raise _cannot_inflate()


def _cannot_inflate() -> ProtocolError:
    return ProtocolError(CloseCode.INVALID_PAYLOAD, "a compressed message cannot be inflated")
