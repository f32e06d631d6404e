"""WebSocket frames: what there is of them, and how a server writes them (RFC 6455 section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TypeAlias

import attrs

from ..close import CloseCode
from ..errors import ProtocolError


class Opcode(IntEnum):
    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


@attrs.frozen
class Ping:
    payload: bytes


@attrs.frozen
class Pong:
    payload: bytes


@attrs.frozen
class Close:
    """A close frame of the peer. An empty one reads as 1005, as section 7.1.5 has it."""

    code: int
    reason: str


Event: TypeAlias = str | bytes | Ping | Pong | Close | ProtocolError

FIN = 0x80
COMPRESSED = 0x40  # the first reserved bit, which RFC 7692 takes
WHOLE_TEXT = FIN | Opcode.TEXT
WHOLE_BINARY = FIN | Opcode.BINARY
COMPRESSED_TEXT = WHOLE_TEXT | COMPRESSED
COMPRESSED_BINARY = WHOLE_BINARY | COMPRESSED

# The two bytes before a short payload, by its size.
_SHORT_TEXT = [bytes((WHOLE_TEXT, size)) for size in range(126)]
_SHORT_BINARY = [bytes((WHOLE_BINARY, size)) for size in range(126)]


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """Build one whole, unmasked frame, as a server sends it."""
    return encode_first(FIN | opcode, payload)


def encode_first(first: int, payload: bytes) -> bytes:
    """Build a frame with this first byte."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 0x10000:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def encode_message(data: str | bytes) -> bytes:
    """Build the frame of a message: text for a string, binary for bytes."""
    if isinstance(data, str):
        payload = data.encode()
        return _SHORT_TEXT[len(payload)] + payload if len(payload) < 126 else encode_first(WHOLE_TEXT, payload)
    return _SHORT_BINARY[len(data)] + data if len(data) < 126 else encode_first(WHOLE_BINARY, data)


def encode_close(code: int, reason: str = "") -> bytes:
    """Build a close frame; 1005 stands for one without a code."""
    if code == CloseCode.NO_STATUS_RECEIVED:
        return encode_frame(Opcode.CLOSE, b"")
    return encode_frame(Opcode.CLOSE, code.to_bytes(2, "big") + reason.encode())


class FrameFormat:
    """Frames without an extension: the same bytes for every client."""

    def encode(self, message: str | bytes) -> bytes:
        return encode_message(message)

    def join(self, encoded: Sequence[bytes]) -> bytes:
        return b"".join(encoded)


PLAIN_FRAMES = FrameFormat()
