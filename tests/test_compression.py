"""What an application may ask of compression, and whose word counts."""

from typing import Any

import attrs
import pytest

from wsframework import App, Deflate, WebSocket, WebSocketRoute
from wsframework.compression import check_compression, choose


async def endpoint(websocket: WebSocket) -> None:
    await websocket.accept()


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("level", 0, "from 1 to 9"),
        ("level", 10, "from 1 to 9"),
        ("level", True, "from 1 to 9"),
        ("window_bits", 8, "from 9 to 15"),
        ("window_bits", 16, "from 9 to 15"),
        ("window_bits", 12.0, "from 9 to 15"),
        ("memory_level", 0, "from 1 to 9"),
        ("memory_level", 10, "from 1 to 9"),
        ("threshold", -1, "0 or more"),
        ("threshold", None, "0 or more"),
        ("context_takeover", 1, "True or False"),
    ],
)
def test_options_that_cannot_be(name: str, value: object, bound: str) -> None:
    """A wrong option is refused when it is written, with what it may be."""
    with pytest.raises(ValueError, match=bound) as caught:
        Deflate(**{name: value})  # type: ignore[arg-type]  # that is the point
    assert f"Deflate({name}={value!r})" in str(caught.value)


def test_options_at_their_bounds() -> None:
    """The least and the most of each option are allowed."""
    Deflate(level=1, window_bits=9, memory_level=1, threshold=0)
    Deflate(level=9, window_bits=15, memory_level=9, threshold=1 << 30)


def test_options_do_not_change() -> None:
    """Options are shared by all connections, so nobody can change them."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Deflate().level = 1  # type: ignore[misc]


OPTIONS = Deflate(level=1)


@pytest.mark.parametrize(
    ("choice", "meaning"), [(None, None), ("off", "off"), ("deflate", Deflate()), (OPTIONS, OPTIONS)]
)
def test_the_argument(choice: Any, meaning: object) -> None:
    """The short word stands for the usual options."""
    assert check_compression(choice) == meaning


@pytest.mark.parametrize("choice", ["gzip", "", True, False, 6, Deflate])
def test_an_argument_that_means_nothing(choice: Any) -> None:
    """Whoever mistypes it is told at once what there is: by the app, the decorator and the route."""
    with pytest.raises(TypeError, match='compression is "deflate"'):
        App(compression=choice)
    with pytest.raises(TypeError, match='compression is "deflate"'):
        WebSocketRoute("/", endpoint, compression=choice)
    with pytest.raises(TypeError, match='compression is "deflate"'):
        App().websocket("/", compression=choice)(endpoint)


@pytest.mark.parametrize(
    ("choices", "meaning"),
    [
        ((None, None), None),
        ((None, OPTIONS), OPTIONS),
        (("off", OPTIONS), None),
        (("deflate", OPTIONS), Deflate()),
        ((OPTIONS, None), OPTIONS),
        ((), None),
    ],
)
def test_the_nearest_choice_counts(choices: Any, meaning: object) -> None:
    """None leaves it to the next level, "off" does not."""
    assert choose(*choices) == meaning
