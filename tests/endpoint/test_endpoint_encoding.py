"""What `encoding` makes of a message before on_receive sees it, and what happens to a message that does not fit."""

from dataclasses import dataclass
from typing import Any

import attrs
import msgspec
import pytest
from trio.testing import MockClock

from wsframework import WebSocket, WebSocketEndpoint
from wsframework.testing import connect


@dataclass
class Point:
    x: int
    y: int = 0


@attrs.define
class Person:
    name: str


class Say(msgspec.Struct, tag=True):
    text: str


class Leave(msgspec.Struct, tag=True):
    pass


def endpoint(chosen: Any, heard: list[Any]) -> type[WebSocketEndpoint]:
    class Endpoint(WebSocketEndpoint):
        encoding = chosen

        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            heard.append(data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            heard.append(close_code)

    return Endpoint


@pytest.mark.parametrize(
    ("encoding", "message", "data"),
    [
        (None, "as it came", "as it came"),
        (None, b"as it came", b"as it came"),
        (None, "", ""),
        (None, b"", b""),
        ("text", "grüß dich", "grüß dich"),
        ("text", "", ""),
        ("bytes", b"\0\xff", b"\0\xff"),
        ("bytes", b"", b""),
        ("json", '{"a": [1, null, "ä"]}', {"a": [1, None, "ä"]}),
        ("json", b'{"a": 1}', {"a": 1}),
        ("json", "null", None),
        ("json", '""', ""),
        ("json", "0", 0),
        (int, "7", 7),
        (list[int], "[1, 2]", [1, 2]),
        (Point, '{"x": 1}', Point(1)),
        (Point, b'{"y": 2, "x": 1, "z": 3}', Point(1, 2)),
        (Person, '{"name": "Ada"}', Person("Ada")),
        (Say, '{"type": "Say", "text": ""}', Say("")),
        (Say | Leave, '{"type": "Leave"}', Leave()),
        (Say | Leave, '{"type": "Say", "text": "hi"}', Say("hi")),
        (Any, "[true]", [True]),
    ],
)
async def test_what_fits(encoding: Any, message: str | bytes, data: Any, autojump_clock: MockClock) -> None:
    """A message that fits reaches on_receive decoded; an empty one too."""
    heard: list[Any] = []
    async with connect(endpoint(encoding, heard)) as client:
        await client.send(message)
    assert heard == [data, 1000]
    assert type(heard[0]) is type(data)


@pytest.mark.parametrize(
    ("encoding", "message", "code", "reason"),
    [
        ("text", b"binary", 1003, "this endpoint takes text messages"),
        ("text", b"", 1003, "this endpoint takes text messages"),
        ("bytes", "text", 1003, "this endpoint takes binary messages"),
        ("bytes", "", 1003, "this endpoint takes binary messages"),
        ("json", "", 1007, "Input data was truncated"),
        ("json", b"", 1007, "Input data was truncated"),
        ("json", "{", 1007, "Input data was truncated"),
        ("json", "hello", 1007, "JSON is malformed: invalid character (byte 0)"),
        ("json", b'"\xff"', 1007, None),
        ("json", "[" * 100_000, 1007, None),
        (int, '"7"', 1007, "Expected `int`, got `str`"),
        (Point, '{"x": 1, "y": []}', 1007, "Expected `int`, got `array` - at `$.y`"),
        (Person, "{}", 1007, "Object missing required field `name`"),
        (Say | Leave, '{"type": "Shout"}', 1007, "Invalid value 'Shout' - at `$.type`"),
        (Say | Leave, "{}", 1007, "Object missing required field `type`"),
        (dict[str, int], '{"' + "ü" * 500 + '": null}', 1007, None),
    ],
)
async def test_what_does_not_fit(
    encoding: Any,
    message: str | bytes,
    code: int,
    reason: str | None,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A message that does not fit closes with 1003 or 1007 and says why; that is no server error."""
    heard: list[Any] = []
    async with connect(endpoint(encoding, heard)) as client:
        await client.send(message)
        end = await client.wait_closed()
    assert end.code == code
    assert 0 < len(end.reason.encode()) <= 123
    if reason is not None:
        assert end.reason == reason
    assert heard == [code]
    assert caplog.records == []


async def test_what_came_before_bad_data(autojump_clock: MockClock) -> None:
    """Messages before the one that does not fit are handled, those behind it are not."""
    heard: list[Any] = []
    async with connect(endpoint("json", heard)) as client:
        for message in ("1", "2", "}", "4"):
            await client.send(message)
        assert (await client.wait_closed()).code == 1007
    assert heard == [1, 2, 1007]


async def test_encoding_is_inherited(autojump_clock: MockClock) -> None:
    """A subclass has the encoding of its base, or one of its own."""
    heard: list[Any] = []
    base = endpoint("json", heard)

    class Same(base):  # type: ignore[misc,valid-type]
        pass

    class Other(base):  # type: ignore[misc,valid-type]
        encoding = "text"

    for application in (Same, Other):
        async with connect(application) as client:
            await client.send("1")
    assert heard == [1, 1000, "1", 1000]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("jsonn", "Endpoint: encoding 'jsonn' is not known; use 'text', 'bytes', 'json', None or a type"),
        ("", "encoding '' is not known"),
        ("Say", "encoding 'Say' is not known"),
        (7, "encoding = 7 cannot be decoded"),
        (Point | Person, "use msgspec Structs with tag=True"),
    ],
)
def test_a_wrong_encoding_is_found_at_once(wrong: Any, message: str) -> None:
    """An encoding that cannot be is a TypeError where the class is written, not when a client comes."""
    with pytest.raises(TypeError) as error:
        endpoint(wrong, [])
    assert message in str(error.value)
