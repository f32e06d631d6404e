"""A message that comes in fragments or pieces: what has come of it so far, checked, and joined when it is whole."""

from __future__ import annotations

import codecs
from typing import Any

from ..close import CloseCode
from ..errors import ProtocolError

_utf8_decoder = codecs.getincrementaldecoder("utf-8")

# Pieces below this are joined at once, so that a message in single bytes does not become an object for each of them.
# To add one then copies 8 KiB at most, which is less than a read costs.
_SMALL = 4096


class PartialMessage:
    """Collects one message.

    Text is decoded as it comes, once, and the first byte that is no UTF-8 is found there (RFC 6455 section 8.1).

    Args:
        is_text: or binary.
        is_compressed: what comes has to be inflated before it is added.

    Attributes:
        size: bytes that were added.
        fragments: frames that it has had so far; whoever reads them counts them here.
        compressed: bytes that these frames announced, if it is compressed; counted there too.
    """

    __slots__ = ("_decoder", "_pieces", "compressed", "fragments", "is_compressed", "size")

    def __init__(self, is_text: bool, is_compressed: bool) -> None:
        self.size: int = 0
        self.fragments: int = 0
        self.compressed: int = 0
        self.is_compressed: bool = is_compressed
        self._decoder = _utf8_decoder() if is_text else None
        self._pieces: list[Any] = []  # strings or bytes

    def add(self, data: bytes, final: bool) -> None:
        """Add the next bytes; ``final``: they are the last.

        Raises:
            ProtocolError: with 1007, it is text, and these are no UTF-8.
        """
        self.size += len(data)
        piece: str | bytes = data if self._decoder is None else _decode(self._decoder, data, final)
        pieces = self._pieces
        if pieces and len(piece) < _SMALL and len(pieces[-1]) < _SMALL:
            pieces[-1] += piece
        else:
            pieces.append(piece)

    def join(self) -> str | bytes:
        """Return the message, when all of it was added."""
        whole: str | bytes = (b"" if self._decoder is None else "").join(self._pieces)
        return whole


def invalid_utf8() -> ProtocolError:
    """Build the answer to text that is none."""
    return ProtocolError(CloseCode.INVALID_PAYLOAD, "text must be UTF-8")


def _decode(decoder: codecs.IncrementalDecoder, data: bytes, final: bool) -> str:
    try:
        return decoder.decode(data, final)
    except UnicodeDecodeError as error:
        raise invalid_utf8() from error
