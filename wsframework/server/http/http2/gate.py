"""The frames of a client of HTTP/2, before h2 gets them: one that is too long is refused by its header alone.

h2 keeps what comes of a frame until it is whole, and looks only then how long it is: an announced 16 MiB are kept. It
joins 65 frames of 16 KiB to one head, and decodes that in one go: a megabyte of changes of the table's size, a byte
each, would take long, and nobody else is served meanwhile. So the lengths are followed here.

A read is also cut into portions of few frames. What a client sends is parsed and counted portion by portion, so others
are served in between, and one that floods is stopped before all that it sent has been parsed.
"""

from __future__ import annotations

from collections.abc import Iterator

from h2.errors import ErrorCodes

_PREFACE_SIZE = 24  # what a client says first (RFC 9113 section 3.4)
_HEADER_SIZE = 9  # of every frame (RFC 9113 section 4.1)
_HEADERS, _CONTINUATION = 1, 9

# Frames in one go. Streams that are opened and reset cost most, and a portion of them must not be felt by others.
_PORTION = 64


class RefusedFrameError(Exception):
    """A frame that must not be read.

    Args:
        code: what the client is told in a GOAWAY.
    """

    def __init__(self, code: ErrorCodes) -> None:
        super().__init__(code.name)
        self.code = code


class FrameGate:
    """Follows the frames of one client, from its preface on.

    Args:
        frame: bytes that the payload of a frame may have.
        head: bytes that the fields of a request may have as they are sent, in HEADERS and CONTINUATION together.
    """

    def __init__(self, frame: int, head: int) -> None:
        self._frame = frame
        self._head = head
        self._header = bytearray()  # what has come of a frame's header
        self._rest = _PREFACE_SIZE  # bytes until the next header
        self._fields = 0  # bytes of the head that is coming

    def portions(self, data: bytes) -> Iterator[bytes]:
        """Cut what has come into portions of 64 frames at most.

        Raises:
            RefusedFrameError: the next frame must not be read; everything before it has been yielded.
        """
        begin = at = frames = 0
        while at < len(data):
            if self._rest:
                step = min(self._rest, len(data) - at)
                self._rest -= step
                at += step
                continue
            piece = data[at : at + _HEADER_SIZE - len(self._header)]
            self._header += piece
            if len(self._header) == _HEADER_SIZE:
                try:
                    self._judge()
                except RefusedFrameError:
                    yield data[begin:at]
                    raise
                frames += 1
                if frames > _PORTION:
                    yield data[begin:at]
                    begin, frames = at, 1
            at += len(piece)
        yield data[begin:] if begin else data

    def _judge(self) -> None:
        """Look at the header of a frame, all of which is here now."""
        size, kind = int.from_bytes(self._header[:3], "big"), self._header[3]
        self._header.clear()
        if size > self._frame:
            raise RefusedFrameError(ErrorCodes.FRAME_SIZE_ERROR)
        if kind in (_HEADERS, _CONTINUATION):
            self._fields = size + (self._fields if kind == _CONTINUATION else 0)
            if self._fields > self._head:
                raise RefusedFrameError(ErrorCodes.ENHANCE_YOUR_CALM)
        self._rest = size
