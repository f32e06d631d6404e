"""Positions travel as text and as JSON."""

import msgspec
import pytest

from wsframework import Position


@pytest.mark.parametrize("position", [Position("a1b2", 0), Position("a:b", 2**62)])
def test_a_position_comes_back_from_text(position: Position) -> None:
    """parse reads what str has written."""
    assert Position.parse(str(position)) == position


def test_a_position_comes_back_from_json() -> None:
    """msgspec knows it, both ways."""
    encoded = msgspec.json.encode(Position("a1b2", 7))
    assert encoded == b'{"epoch":"a1b2","offset":7}'
    assert msgspec.json.decode(encoded, type=Position) == Position("a1b2", 7)


@pytest.mark.parametrize("text", ["", "a", "a:", ":1", "a:-1", "a:1.0", "a:²", "a:x", "a:" + "9" * 50])
def test_what_is_no_position(text: str) -> None:
    """Whatever a client sends as one is a ValueError at worst."""
    with pytest.raises(ValueError, match="a position reads epoch:offset"):
        Position.parse(text)
