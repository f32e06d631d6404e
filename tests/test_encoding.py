"""Messages to values and back, without an event loop."""

from dataclasses import dataclass
from typing import Any

import attrs
import msgspec
import pytest

from wsframework import CloseCode, InvalidData
from wsframework.encoding import (
    cut_reason,
    decode_json,
    encode_json,
    expect_bytes,
    expect_text,
    make_decoder,
    to_message,
)


@dataclass
class Point:
    x: int


@attrs.frozen
class Person:
    name: str


class Say(msgspec.Struct, tag=True):
    text: str


def test_none_leaves_messages_as_they_are() -> None:
    """Without an encoding a message is what it was."""
    decode = make_decoder(None)
    assert decode("") == ""
    assert decode(b"") == b""


def test_text_and_bytes() -> None:
    """Each lets its own kind through, the empty message too."""
    assert make_decoder("text")("") == expect_text("") == ""
    assert make_decoder("bytes")(b"") == expect_bytes(b"") == b""


@pytest.mark.parametrize(("decode", "message"), [(expect_text, b""), (expect_bytes, "")])
def test_the_other_kind(decode: Any, message: str | bytes) -> None:
    """The other kind is InvalidData with 1003."""
    with pytest.raises(InvalidData) as error:
        decode(message)
    assert error.value.code == CloseCode.UNSUPPORTED_DATA
    assert str(error.value) == f"1003 (unsupported data): {error.value.reason}"


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "", "ä", [], {}, [[None]], {"a": {"b": [1]}}])
def test_json_comes_back(value: Any) -> None:
    """Plain values survive the way out and in, as text and as bytes."""
    encoded = encode_json(value)
    assert decode_json(encoded) == value
    assert decode_json(encoded.decode()) == value


def test_json_is_compact() -> None:
    """No byte is spent on spaces, nor on escapes that UTF-8 does without."""
    assert encode_json({"a": [1, "ä"]}) == '{"a":[1,"ä"]}'.encode()


@pytest.mark.parametrize("message", ["", b"", "{", "NaN", "'a'", "[1,]", b"\xff", b'"\xff"', '"\n"', "[" * 100_000])
def test_no_json(message: str | bytes) -> None:
    """What is no JSON is InvalidData with 1007 and a reason that fits a close frame, however deep it is nested."""
    with pytest.raises(InvalidData) as error:
        decode_json(message)
    assert error.value.code == CloseCode.INVALID_PAYLOAD
    assert 0 < len(error.value.reason.encode()) <= 123


@pytest.mark.parametrize(
    ("type_", "message", "value"),
    [
        (Point, '{"x":1}', Point(1)),
        (Person, '{"name":"Ada"}', Person("Ada")),
        (Say, '{"type":"Say","text":""}', Say("")),
    ],
)
def test_types(type_: Any, message: str, value: Any) -> None:
    """A type's values come out of JSON and go back to the same."""
    assert make_decoder(type_)(message) == value
    assert encode_json(value).decode() == message
    with pytest.raises(InvalidData):
        make_decoder(type_)("{}")


def test_a_lone_surrogate_is_refused() -> None:
    """A string that no UTF-8 can hold does not get into the program."""
    with pytest.raises(InvalidData):
        decode_json('"\\ud800"')


@pytest.mark.parametrize("value", [object(), {1, object()}, make_decoder])
def test_what_json_cannot_hold(value: Any) -> None:
    """Encoding something that JSON cannot hold is the program's TypeError."""
    with pytest.raises(TypeError):
        encode_json(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", ""),
        ("text", "text"),
        (b"", b""),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (None, "null"),
        ({"a": 1}, '{"a":1}'),
        (Point(1), '{"x":1}'),
        (Say("hi"), '{"type":"Say","text":"hi"}'),
    ],
)
def test_anything_becomes_a_message(value: Any, message: str | bytes) -> None:
    """Strings are text, bytes are binary, the rest is JSON text."""
    made = to_message(value)
    assert made == message
    assert type(made) is type(message)


@pytest.mark.parametrize(
    ("text", "cut"),
    [("", ""), ("x" * 123, "x" * 123), ("x" * 124, "x" * 123), ("ü" * 62, "ü" * 61), ("𝄞" * 31, "𝄞" * 30)],
)
def test_a_reason_is_cut_between_characters(text: str, cut: str) -> None:
    """A reason is cut to what a close frame holds, and never inside a character."""
    assert cut_reason(text) == cut
