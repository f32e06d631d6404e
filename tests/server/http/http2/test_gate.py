"""The lengths of a client's frames, however its bytes come: what is passed on, and what is not read at all."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from hypothesis import given
from hypothesis import strategies as st

from tests.server.builders import splits
from wsframework.server.http.http2.gate import FrameGate, RefusedFrameError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PING, CONTINUATION = 0, 1, 6, 9
FRAME, HEAD = 100, 150


def frame(kind: int, size: int, announced: int | None = None) -> bytes:
    """A frame of a stream, with this payload."""
    length = size if announced is None else announced
    return length.to_bytes(3, "big") + bytes((kind, 0)) + (1).to_bytes(4, "big") + b"x" * size


def through(*reads: bytes) -> list[bytes]:
    """What a gate passes on of these reads."""
    gate = FrameGate(FRAME, HEAD)
    return [portion for read in reads for portion in gate.portions(read)]


def refused(*reads: bytes) -> tuple[bytes, ErrorCodes]:
    """What a gate passes on before it refuses, and what it says then."""
    gate, passed = FrameGate(FRAME, HEAD), b""
    with pytest.raises(RefusedFrameError) as caught:
        for read in reads:
            for portion in gate.portions(read):
                passed += portion
    return passed, caught.value.code


GOOD = PREFACE + frame(PING, 8) + frame(HEADERS, FRAME) + frame(CONTINUATION, 50) + frame(DATA, FRAME) + frame(DATA, 0)


@given(st.sets(st.integers(1, len(GOOD) * 2 - 1)))
def test_every_byte_is_passed_on(cuts: set[int]) -> None:
    """What may be read is passed on, all of it and in order, wherever it is cut."""
    data = GOOD + GOOD[len(PREFACE) :]
    assert b"".join(through(*splits(data, (cut for cut in cuts if cut < len(data))))) == data


def test_a_read_of_few_frames_is_passed_on_as_it_is() -> None:
    """It is not copied."""
    assert through(GOOD)[0] is GOOD


def test_many_frames_are_passed_on_in_portions() -> None:
    """64 frames each, so that others have their turn in between."""
    pings = frame(PING, 8) * 200
    assert [len(portion) / len(frame(PING, 8)) for portion in through(PREFACE, pings)[1:]] == [64, 64, 64, 8]


@pytest.mark.parametrize("kind", [DATA, HEADERS, PING, 0x55], ids=["data", "headers", "ping", "unknown"])
@pytest.mark.parametrize("size", [FRAME + 1, 2**24 - 1])
def test_a_frame_that_is_too_long(kind: int, size: int) -> None:
    """It is refused by its header, before any of its payload has come, and what came before it is passed on."""
    header = frame(kind, 0, announced=size)
    for cut in range(1, 9):
        passed, code = refused(GOOD + header[:cut], header[cut:])
        assert (passed[: len(GOOD)], len(passed)) == (GOOD, len(GOOD) + cut)
        assert code == ErrorCodes.FRAME_SIZE_ERROR
    assert refused(GOOD + header + b"x" * 50) == (GOOD, ErrorCodes.FRAME_SIZE_ERROR)


def test_a_head_that_is_too_long() -> None:
    """The frames of a head are counted together, and the one that is too much is refused by its header."""
    fits = PREFACE + frame(HEADERS, FRAME) + frame(CONTINUATION, 25) + frame(CONTINUATION, 25)
    assert refused(fits + frame(CONTINUATION, 1)) == (fits, ErrorCodes.ENHANCE_YOUR_CALM)


def test_each_head_is_counted_for_itself() -> None:
    """As many as the client likes, each up to the bound; what is not a head does not count."""
    heads = (frame(HEADERS, FRAME) + frame(CONTINUATION, 50) + frame(DATA, FRAME)) * 10
    assert b"".join(through(PREFACE + heads)) == PREFACE + heads


def test_the_preface_has_no_length() -> None:
    """Its first bytes would be an enormous one."""
    assert through(*splits(PREFACE, range(1, len(PREFACE)))) == [PREFACE[at : at + 1] for at in range(len(PREFACE))]
