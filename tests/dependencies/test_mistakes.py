"""Mistakes in signatures show when the class is written or the route is made, with what to write in their place."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import fastapi
import pytest
from trio.testing import MockClock

import wsframework
from wsframework import (
    App,
    Cookie,
    Depends,
    Header,
    Path,
    Query,
    Security,
    WebSocket,
    WebSocketEndpoint,
    WebSocketRoute,
    WebSocketStateError,
)
from wsframework.testing import connect


async def plain() -> int:
    return 1


async def handle() -> AsyncIterator[int]:
    yield 1


async def keeps_message(tx: Annotated[int, Depends(plain, scope="message")]) -> int:
    return tx


async def keeps_handshake(db: Annotated[int, Depends(handle, scope="handshake")]) -> AsyncIterator[int]:
    yield db


async def uses_handshake(db: Annotated[int, Depends(handle, scope="handshake")]) -> int:
    return db


async def one(other: Any = None) -> int:
    return 1


async def two(other: Annotated[int, Depends(one)]) -> int:
    return other


one.__defaults__ = (Depends(two),)


@asynccontextmanager
async def decorated() -> AsyncIterator[int]:
    yield 1


@contextmanager
def decorated_plain() -> Iterator[int]:
    yield 1


class Thing: ...


def function_with(annotation: Any, default: Any = ...) -> Callable[..., Any]:
    """A function endpoint with one more parameter."""
    if default is ...:

        async def endpoint(websocket: WebSocket, thing: annotation) -> None: ...
    else:

        async def endpoint(websocket: WebSocket, thing: annotation = default) -> None: ...

    return endpoint


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        (
            function_with(Thing),
            "endpoint: parameter 'thing' is taken from the path or query, and no text there can become Thing. "
            "If something makes it, write Annotated[Thing, Depends(get_thing)]",
        ),
        (function_with(dict[str, int]), "no text there can become dict[str, int]"),
        (function_with(bytes), "no text there can become bytes"),
        (function_with(list[Thing]), "no text there can become list["),
        (function_with(Annotated[list[int], Cookie()]), "a cookie has one value of a name"),
        (function_with(Annotated[list[int], Path()]), "a path has one value of a name"),
        (function_with(Annotated[str, Query(ge=1)]), "Can only set `ge` on a numeric type"),
        (
            function_with(Annotated[str, Query("x")]),
            "in Annotated the default stands behind the annotation: write `thing: Annotated[..., Query()] = 'x'`",
        ),
        (function_with(Annotated[str, Query(), Header()]), "has 2 markers"),
        (function_with(Annotated[str, Query()], Query()), "has a marker in Annotated and another one as its default"),
        (function_with(Annotated[str, Path()], "x"), "is taken from the path, where it always is"),
        (function_with(Any, Depends()), "has Depends() without a function"),
        (
            function_with(int, Depends(plain, scope="message")),
            "a message-scoped dependency lives for one on_receive, and this is none: write Depends(plain), or "
            'Depends(plain, scope="handshake")',
        ),
        (
            function_with(int, Depends(keeps_message)),
            "keeps_message is connection-scoped and needs plain ('tx'), which lives for one message only: "
            'write Depends(keeps_message, scope="message")',
        ),
        (
            function_with(int, Depends(keeps_handshake)),
            "keeps_handshake lives as long as the connection and needs handle ('db'), which ends with the handshake: "
            'write Depends(keeps_handshake, scope="handshake"), or Depends(handle)',
        ),
        (function_with(int, Depends(one)), "dependencies in a circle: one needs two needs one"),
        (function_with(int, Depends(decorated)), "decorated is decorated with @contextmanager or @asynccontextmanager"),
        (function_with(int, Depends(decorated_plain)), "leave out the decorator"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_functions(endpoint: Callable[..., Any], sentence: str) -> None:
    """A route is not made of a function that could never be called."""
    with pytest.raises(TypeError) as error:
        WebSocketRoute("/", endpoint)
    assert sentence in str(error.value)


def test_no_signature() -> None:
    """What Python knows no parameters of cannot be filled."""
    with pytest.raises(TypeError, match="endpoint > dict has no signature that Python could tell"):
        WebSocketRoute("/", function_with(Any, Depends(dict)))


def test_positional_only() -> None:
    """What is filled by name needs one."""

    async def endpoint(websocket: WebSocket, name: str, /) -> None: ...

    with pytest.raises(TypeError, match="cannot be positional-only: leave out the `/`"):
        WebSocketRoute("/", endpoint)


def test_on_receive() -> None:
    """In on_receive, what ends with the handshake is no use."""
    with pytest.raises(TypeError) as error:

        class Direct(WebSocketEndpoint):
            async def on_receive(
                self, websocket: WebSocket, data: str, db: Annotated[int, Depends(handle, scope="handshake")]
            ) -> None: ...

    assert str(error.value) == (
        "Direct.on_receive: parameter 'db': a handshake-scoped dependency has ended when a message comes: "
        'write Depends(handle, scope="message"), or Depends(handle)'
    )
    with pytest.raises(TypeError) as error:

        class Below(WebSocketEndpoint):
            async def on_receive(
                self, websocket: WebSocket, data: str, db: Annotated[int, Depends(uses_handshake, scope="message")]
            ) -> None: ...

    assert "uses_handshake is message-scoped and needs handle ('db'), which has ended with the handshake" in str(
        error.value
    )


def test_on_connect() -> None:
    """In on_connect, no message has come."""
    with pytest.raises(TypeError, match=r"Early\.on_connect: parameter 'tx': a message-scoped dependency"):

        class Early(WebSocketEndpoint):
            async def on_connect(
                self, websocket: WebSocket, tx: Annotated[int, Depends(plain, scope="message")]
            ) -> None: ...


def test_on_disconnect() -> None:
    """on_disconnect always runs, also when nothing could be made for it, so it takes nothing more."""
    with pytest.raises(TypeError, match=r"Late\.on_disconnect is called with \(websocket, close_code\)"):

        class Late(WebSocketEndpoint):
            async def on_disconnect(
                self, websocket: WebSocket, close_code: int, user: Annotated[int, Depends(plain)]
            ) -> None: ...


@pytest.mark.parametrize("hook", ["on_connect", "on_receive"])
def test_too_few_parameters(hook: str) -> None:
    """A hook that could not be called is found when its class is written."""

    async def short(self: Any) -> None: ...

    with pytest.raises(TypeError, match=rf"Short\.{hook} is called with \(websocket"):
        type("Short", (WebSocketEndpoint,), {hook: short})


@pytest.mark.parametrize("marker", [Depends, Security])
def test_a_call_in_place_of_a_function(marker: Any) -> None:
    """Depends calls the function itself."""
    with pytest.raises(TypeError, match=rf"write {marker.__name__}\(plain\), not {marker.__name__}\(plain\(\)\)"):
        marker(plain())
    with pytest.raises(TypeError, match=r"not .*\(handle\(\)\)"):
        marker(handle())
    with pytest.raises(TypeError, match="takes a function or another callable, not 5"):
        marker(5)


def test_markers() -> None:
    """A marker with a wrong argument says so where it is written."""
    with pytest.raises(ValueError, match="no scope 'request'; it is one of 'handshake', 'connection', 'message'"):
        Depends(plain, scope="request")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"write scopes=\['items'\]"):
        Security(plain, scopes="items")
    with pytest.raises(TypeError, match="Path takes no default"):
        Path("x")
    with pytest.raises(TypeError, match="a default or a default_factory, not both"):
        Query(1, default_factory=int)


def test_a_marker_of_another_framework() -> None:
    """Forgotten imports are named: such a marker would pass for a default value."""
    for name in ("Depends", "Security", "Cookie", "Header", "Query", "Path"):
        marker = getattr(fastapi, name)()
        sentence = f"has {name} of fastapi: write `from wsframework import {name}`"
        assert hasattr(wsframework, name)
        with pytest.raises(TypeError, match=sentence):
            WebSocketRoute("/", function_with(Any, marker))
        with pytest.raises(TypeError, match=sentence):
            WebSocketRoute("/", function_with(Annotated[Any, marker]))
    of_fast_depends = type("Dependant", (), {"__module__": "fast_depends.dependencies.model"})()
    with pytest.raises(TypeError, match="has Dependant of fast_depends: write `from wsframework import Depends`"):
        WebSocketRoute("/", function_with(Any, of_fast_depends))


def test_a_marker_of_a_body() -> None:
    """There is nothing here to import for it, and the error does not say that there is."""
    for name in ("Body", "Form", "File"):
        with pytest.raises(TypeError, match=f"has {name} of fastapi, and the handshake of a WebSocket has no body"):
            WebSocketRoute("/", function_with(Any, getattr(fastapi, name)()))


async def test_a_path_without_the_parameter(autojump_clock: MockClock) -> None:
    """Paths are put together from routes and mounts, so this one shows when a client comes, and not as its mistake."""
    app = App()

    @app.websocket("/items")
    async def endpoint(websocket: WebSocket, item: Annotated[str, Path()]) -> None: ...

    with pytest.raises(WebSocketStateError, match="the route has no 'item' in its path: name it there"):
        async with connect(app, "/items?item=5"):
            pass
