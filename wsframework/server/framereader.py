"""From the bytes of a client to events, without I/O (RFC 6455 section 5).

How it works. A frame that lies whole in the bytes just received, which is nearly every frame of a live
service, is cut out, unmasked and decoded in one go. Any other frame is taken in as it arrives: its payload is
unmasked piece by piece into the `PartialMessage` that it belongs to, so that

* a megabyte that comes in single bytes costs a megabyte and linear time, not one object per read;
* text is checked at every piece, and the first byte that is no UTF-8 ends the connection (section 8.1);
* a length that the limits forbid is refused on the header alone, before anything is allocated for it;
* a compressed message is inflated as it arrives, and stops at the limit of what it may become;
* a read that holds thousands of frames, or messages that inflate to thousands of times their size, is taken in turns.

Its rules. What came before a violation is still reported. A violation is the last event, and so is a close
frame: bytes after either are dropped (section 5.5.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from websockets.speedups import apply_mask

from ..close import CloseCode, may_travel
from ..errors import ProtocolError
from .frames import COMPRESSED, FIN, WHOLE_BINARY, WHOLE_TEXT, Close, Event, Opcode, Ping, Pong
from .partial import PartialMessage, invalid_utf8

_RESERVED = 0x70
_MASKED = 0x80
_CONTROL = 0x08
_MAX_CONTROL_PAYLOAD = 125  # section 5.5

# Frames in one call. One read of 64 KiB may hold 10,000 of them, which take milliseconds
# (``python -m benchmarks.costs floods``), and everybody else would wait.
_TURN = 64


class Inflates(Protocol):
    """Undoes the compression of one client's messages."""

    def inflate(self, data: bytes, final: bool) -> Iterator[bytes]:
        """Give what these bytes of a message become, in pieces. Raises ProtocolError when they are broken."""


class FrameReader:
    """Turns what a client sends into events. One per connection.

    Args:
        max_message: largest message in bytes, over all its fragments; more is answered with 1009.
        max_fragments: most frames in one message; more is answered with 1009 too.
        max_inflated: bytes that are inflated in one call; the message that passes this is the call's last.

    Attributes:
        behind: `feed` has stopped before the end of what it was given. It wants to be called again, with no bytes.
        inflated: bytes that have come out of compressed messages so far.
    """

    __slots__ = (
        "_control",
        "_ended",
        "_fin",
        "_head",
        "_inflater",
        "_largest_frame",
        "_mask",
        "_max_fragments",
        "_max_inflated",
        "_max_message",
        "_message",
        "_opcode",
        "_remaining",
        "_short",
        "behind",
        "inflated",
    )

    def __init__(self, max_message: int, max_fragments: int = 4096, max_inflated: int = 1024 * 1024) -> None:
        self.behind: bool = False
        self.inflated: int = 0
        self._max_message = max_message
        self._max_fragments = max_fragments
        self._max_inflated = max_inflated
        self._largest_frame = max_message
        self._inflater: Inflates | None = None
        # The largest payload that has no length field of its own and is allowed; -1 while something has begun and not
        # ended, and when everything has ended.
        self._short = min(max_message, _MAX_CONTROL_PAYLOAD)
        self._ended = False
        self._head = b""  # the beginning of a frame header that has not come whole, or all that has to wait
        # The frame whose payload is arriving in pieces; none while _remaining is 0.
        self._opcode = 0
        self._fin = True
        self._mask = b""
        self._remaining = 0
        self._control = b""  # the payload of a control frame, which may stand between the fragments of a message
        self._message: PartialMessage | None = None  # what is arriving in fragments or pieces

    def expect_compression(self, inflater: Inflates) -> None:
        """Take compressed messages too: this was agreed on."""
        self._inflater = inflater
        # What cannot be compressed gets longer, with zlib's smallest buffers by an eighth (deflateBound in deflate.c).
        self._largest_frame = self._max_message + self._max_message // 8 + 64

    def feed_one(self, data: bytes) -> str | bytes | None:
        """Return the message if this is one short frame and nothing else; None, and nothing is taken, if it is not.

        That is what a live service mostly gets, and costs half as much as `feed` here.
        """
        size = len(data) - 6
        if 0 <= size <= self._short and data[1] - _MASKED == size:
            first = data[0]
            if first == WHOLE_TEXT:
                try:
                    return str(apply_mask(data[6:], data[2:6]), "utf-8")
                except UnicodeDecodeError:
                    return None  # the long way refuses it
            if first == WHOLE_BINARY:
                return apply_mask(data[6:], data[2:6])
        return None

    def feed(self, data: bytes) -> list[Event]:
        """Take what the socket gave and return what it completes, oldest first, or the first of it: see `behind`."""
        message = self.feed_one(data)
        if message is not None:
            return [message]
        events: list[Event] = []
        if not self._ended:
            try:
                self._parse(data, events)
            except ProtocolError as violation:
                self.end()
                events.append(violation)
            busy = self._ended or self._remaining or self._message is not None or self._head
            self._short = -1 if busy else min(self._max_message, _MAX_CONTROL_PAYLOAD)
        return events

    def _parse(self, data: bytes, events: list[Event]) -> None:
        at = 0
        if self._remaining:
            at = self._take(data, 0, events)
        elif self._head:
            data = self._head + data
            self._head = b""
        self.behind = False
        end = len(data)
        enough = self.inflated + self._max_inflated
        for _ in range(_TURN):
            if end - at < 2 or self._ended:
                break
            if self.inflated >= enough:
                self.behind = True
                break
            first, second = data[at], data[at + 1]
            whole_message = (
                (first == WHOLE_TEXT or first == WHOLE_BINARY) and second & _MASKED and self._message is None
            )
            if not whole_message:
                self._check_header(first, second)
            size = second & 0x7F
            body = at + 6  # two bytes, the length if it is long, four bytes of mask
            if size > _MAX_CONTROL_PAYLOAD:
                body += 2 if size == 126 else 8
                if body - 4 > end:
                    break
                size = _long_size(data[at + 2 : body - 4])
                if size > self._largest_frame:
                    raise self._too_big()
            if body > end:
                break
            stop = body + size
            if whole_message and stop <= end and size <= self._max_message:
                payload = apply_mask(data[body:stop], data[body - 4 : body])
                events.append(_decode(payload) if first == WHOLE_TEXT else payload)
                at = stop
            else:
                self._begin(first, data[body - 4 : body], size)
                at = self._take(data, body, events)
        else:
            self.behind = end - at >= 2 and not self._ended
        if at < end and not self._remaining and not self._ended:
            self._head = data[at:]

    def _check_header(self, first: int, second: int) -> None:
        """Refuse what the first two bytes of a frame already show to be wrong."""
        opcode = first & 0x0F
        if first & _RESERVED:
            self._check_reserved(first)
        if not second & _MASKED:
            raise _protocol_error("a client must mask its frames")
        if opcode & _CONTROL:
            if opcode > Opcode.PONG:
                raise _protocol_error(f"opcode {opcode} is not defined")
            if not first & FIN:
                raise _protocol_error("a control frame must not be fragmented")
            if second & 0x7F > _MAX_CONTROL_PAYLOAD:
                raise _protocol_error("a control frame carries at most 125 bytes")
        elif opcode > Opcode.BINARY:
            raise _protocol_error(f"opcode {opcode} is not defined")
        elif opcode == Opcode.CONTINUATION and self._message is None:
            raise _protocol_error("a continuation frame without a message to continue")
        elif opcode != Opcode.CONTINUATION and self._message is not None:
            raise _protocol_error("a new message inside a fragmented one")

    def _check_reserved(self, first: int) -> None:
        if self._inflater is None:
            raise _protocol_error("reserved bits are set, and no extension was agreed on")
        if first & _RESERVED != COMPRESSED:
            raise _protocol_error("reserved bits are set that no extension has a use for")
        if first & _CONTROL:
            raise _protocol_error("a control frame must not be compressed")
        if first & 0x0F == Opcode.CONTINUATION:
            raise _protocol_error("only the first frame of a message says that it is compressed")

    def _begin(self, first: int, mask: bytes, size: int) -> None:
        """Start on a frame whose payload may come in pieces."""
        opcode = first & 0x0F
        if not opcode & _CONTROL:
            if self._message is None:
                self._message = PartialMessage(opcode == Opcode.TEXT, bool(first & COMPRESSED))
            self._check_fragment(self._message, size)
        self._opcode, self._mask, self._remaining, self._fin = opcode, mask, size, bool(first & FIN)

    def _check_fragment(self, message: PartialMessage, size: int) -> None:
        """Count one more frame of a message, if it may have one of this size."""
        if message.is_compressed:
            message.compressed += size
            if message.compressed > self._largest_frame:
                raise self._too_big()
        elif message.size + size > self._max_message:
            raise self._too_big()
        if message.fragments == self._max_fragments:
            raise ProtocolError(CloseCode.MESSAGE_TOO_BIG, f"over {self._max_fragments} fragments in a message")
        message.fragments += 1

    def _take(self, data: bytes, at: int, events: list[Event]) -> int:
        """Take in what ``data`` holds of the payload in hand; return where the next frame begins."""
        piece = data[at : at + self._remaining]
        payload = apply_mask(piece, self._mask)
        self._remaining -= len(piece)
        turn = len(piece) & 3
        self._mask = self._mask[turn:] + self._mask[:turn]
        if self._opcode & _CONTROL:
            self._control += payload
            if not self._remaining:
                self._finish_control(events)
        else:
            message = self._message
            assert message is not None
            final = self._fin and not self._remaining
            if message.is_compressed:
                self._inflate(message, payload, final)
            else:
                message.add(payload, final)
            if final:
                events.append(message.join())
                self._message = None
        return at + len(piece)

    def _inflate(self, message: PartialMessage, payload: bytes, final: bool) -> None:
        assert self._inflater is not None
        for piece in self._inflater.inflate(payload, final):
            if message.size + len(piece) > self._max_message:
                raise self._too_big()
            self.inflated += len(piece)
            message.add(piece, False)
        if final:
            message.add(b"", True)

    def _finish_control(self, events: list[Event]) -> None:
        payload, self._control = self._control, b""
        if self._opcode == Opcode.PING:
            events.append(Ping(payload))
        elif self._opcode == Opcode.PONG:
            events.append(Pong(payload))
        else:
            events.append(_parse_close(payload))
            self.end()

    def end(self) -> None:
        """Read nothing more, and let go of what has been read of a message."""
        self._short = -1
        self._ended = True
        self.behind = False
        self._head = b""
        self._remaining = 0
        self._inflater = None
        self._message = None

    def _too_big(self) -> ProtocolError:
        return ProtocolError(CloseCode.MESSAGE_TOO_BIG, f"a message has at most {self._max_message} bytes")


def _protocol_error(reason: str) -> ProtocolError:
    return ProtocolError(CloseCode.PROTOCOL_ERROR, reason)


def _decode(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise invalid_utf8() from error


def _long_size(field: bytes) -> int:
    size = int.from_bytes(field, "big")
    if size >> 63:
        raise _protocol_error("a length must not have its highest bit set")
    if size < (126 if len(field) == 2 else 0x10000):
        raise _protocol_error("a length must use as few bytes as it can")
    return size


def _parse_close(payload: bytes) -> Close:
    if not payload:
        return Close(CloseCode.NO_STATUS_RECEIVED, "")
    if len(payload) == 1:
        raise _protocol_error("a close frame has no code or all of it")
    code = int.from_bytes(payload[:2], "big")
    if not may_travel(code):
        raise _protocol_error(f"close code {code} must not be sent")
    return Close(code, _decode(payload[2:]))
