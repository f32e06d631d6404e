"""A message in pieces: what they become, where bad text is found, and how many objects they may be."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframework import CloseCode
from wsframework.errors import ProtocolError
from wsframework.server.partial import PartialMessage


def collect(pieces: list[bytes], is_text: bool) -> PartialMessage:
    message = PartialMessage(is_text, False)
    for number, piece in enumerate(pieces, 1):
        message.add(piece, number == len(pieces))
    return message


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """The same bytes in pieces, some of which may be empty."""
    places = [0, *sorted(at % (len(data) + 1) for at in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


LONG = 10_000  # characters: more than what is small

TEXT = st.text(max_size=20) | st.text(max_size=20).map(lambda text: text * LONG)
CUTS = st.lists(st.integers(0, 4 * LONG), max_size=8)


@given(TEXT, CUTS)
def test_text(text: str, cuts: list[int]) -> None:
    """It is the same text in whatever pieces it comes, also in the middle of a character."""
    message = collect(cut(text.encode(), cuts), True)
    assert message.join() == text
    assert message.size == len(text.encode())


@given(TEXT, CUTS)
def test_binary(text: str, cuts: list[int]) -> None:
    """Bytes are joined as they came."""
    assert collect(cut(text.encode(), cuts), False).join() == text.encode()


@pytest.mark.parametrize("is_text", [False, True])
def test_nothing(is_text: bool) -> None:
    """A message of nothing is an empty string, or no bytes."""
    assert collect([b""], is_text).join() == ("" if is_text else b"")


@pytest.mark.parametrize("size", [1, 100, 4095, 4096, 20_000])
def test_small_pieces_are_joined(size: int) -> None:
    """What is kept is a few objects, however many pieces there were, and none of them grows beyond 8 KiB for that."""
    message = collect([b"x" * size] * 1000, False)
    kept = message._pieces
    assert len(kept) <= max(size * 1000 // 4096 + 1, 1)
    assert max(map(len, kept)) <= max(8192, size)


@pytest.mark.parametrize("before", [b"", b"x" * 5000])
def test_bad_text(before: bytes) -> None:
    """The piece with the first byte that is no UTF-8 is refused with 1007, and so is text that ends too early."""
    message = collect([before], True)
    with pytest.raises(ProtocolError) as refused:
        message.add(b"\xff", False)
    assert refused.value.code == CloseCode.INVALID_PAYLOAD
    message = PartialMessage(True, False)
    message.add(before + b"\xe2\x82", False)
    with pytest.raises(ProtocolError):
        message.add(b"", True)
