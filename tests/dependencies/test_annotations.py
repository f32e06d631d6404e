"""Annotations that are strings, name local types, or are for type checkers only."""

from __future__ import annotations

import functools
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import pytest
from msgspec import Meta
from trio.testing import MockClock

from wsframework import App, Depends, Query, WebSocket, WebSocketEndpoint, WebSocketRoute
from wsframework.testing import connect

if TYPE_CHECKING:
    from nowhere import Model, User  # type: ignore[import-not-found]

    from wsframework import WebSocket as HiddenWebSocket


async def get_user(name: str) -> User:
    return name


async def answer(app: App, path: str) -> Any:
    async with connect(app, path) as client:
        return await client.receive_json()


async def test_local_types_and_functions(autojump_clock: MockClock) -> None:
    """What is defined in the function around an endpoint is found, for functions and for classes."""

    class Colour(Enum):
        RED = "red"

    @attrs.define
    class Page:
        number: int = 1

    async def paint(colour: Colour, page: Annotated[Page, Depends()]) -> str:
        return f"{colour.value} {page.number}"

    small = Annotated[int, Query(), Meta(le=9)]
    app = App()

    @app.websocket("/function")
    async def function(
        websocket: WebSocket, number: small, colour: Colour, painted: Annotated[str, Depends(paint)]
    ) -> None:
        await websocket.accept()
        await websocket.send_json([number, colour.value, painted])

    @app.websocket("/class")
    class Endpoint(WebSocketEndpoint):
        async def on_connect(
            self, websocket: WebSocket, number: small, colour: Colour, painted: Annotated[str, Depends(paint)]
        ) -> None:
            await websocket.accept()
            await websocket.send_json([number, colour.value, painted])

    assert await answer(app, "/function?number=3&colour=red") == [3, "red", "red 3"]
    assert await answer(app, "/class?number=3&colour=red") == [3, "red", "red 3"]


class Shade(Enum):
    LIGHT = "light"


class Lamp:
    """Dependencies of all kinds, with an annotation that names a type of the module."""

    def __init__(self, shade: Shade) -> None:
        self.shade = shade

    async def method(self, shade: Shade) -> str:
        return shade.value

    async def __call__(self, shade: Shade) -> str:
        return shade.value


async def from_module(shade: Shade, suffix: str) -> str:
    return shade.value + suffix


async def test_types_of_the_module(autojump_clock: MockClock) -> None:
    """They are found for functions, classes, methods, objects and partials."""
    lamp = Lamp(Shade.LIGHT)
    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket,
        one: Annotated[str, Depends(from_module)],
        two: Annotated[Lamp, Depends()],
        three: Annotated[str, Depends(lamp.method)],
        four: Annotated[str, Depends(lamp)],
        five: Annotated[str, Depends(functools.partial(from_module, suffix="!"))],
    ) -> None:
        await websocket.accept()
        await websocket.send_json([one, two.shade.value, three, four, five])

    assert await answer(app, "/?shade=light&suffix=.") == ["light.", "light", "light", "light", "light!"]


async def test_local_types_of_methods_and_objects(autojump_clock: MockClock) -> None:
    """They are found for methods and objects of local classes too."""

    class Colour(Enum):
        RED = "red"

    class Brush:
        async def method(self, colour: Colour) -> str:
            return colour.value

        async def __call__(self, colour: Colour) -> str:
            return colour.value

    brush = Brush()
    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket, one: Annotated[str, Depends(brush.method)], two: Annotated[str, Depends(brush)]
    ) -> None:
        await websocket.accept()
        await websocket.send_json([one, two])

    assert await answer(app, "/?colour=red") == ["red", "red"]


async def test_names_that_the_function_itself_uses(autojump_clock: MockClock) -> None:
    """They are known when the function around it has returned."""

    def make(default: str) -> Any:
        class Colour(Enum):
            RED = "red"

        async def paint(colour: Colour) -> str:
            assert isinstance(colour, Colour)
            return colour.value + default

        return paint

    app = App()
    paint = make("!")

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, painted: Annotated[str, Depends(paint)]) -> None:
        await websocket.accept()
        await websocket.send_json(painted)

    assert await answer(app, "/?colour=red") == "red!"


async def test_a_program_that_is_no_module(autojump_clock: MockClock) -> None:
    """The names of a function are those that it was defined among, whether a module is known by that name or not."""
    names: dict[str, Any] = {"__name__": "nowhere", "Shade": Shade, "WebSocket": WebSocket}
    code = """
async def endpoint(websocket: WebSocket, shade: Shade) -> None:
    await websocket.accept()
    await websocket.send_json(shade.value)
"""
    exec(code, names)
    app = App()
    app.websocket("/")(names["endpoint"])
    assert await answer(app, "/?shade=light") == "light"


async def test_types_for_type_checkers(autojump_clock: MockClock) -> None:
    """A name that is imported for type checkers only does no harm where nobody has to know it."""
    app = App()

    @app.websocket("/")
    async def endpoint(
        anything: HiddenWebSocket,
        annotated: Annotated[User, Depends(get_user)],
        perhaps: Annotated[User | None, Depends(get_user)],
        default: User = Depends(get_user),
    ) -> None:
        await anything.accept()
        await anything.send_json([annotated, perhaps, default])

    assert await answer(app, "/?name=ada") == ["ada", "ada", "ada"]


def test_types_that_must_be_known() -> None:
    """Where the type says what to do, the error says what to import, and from where in the code it is."""

    async def query(websocket: WebSocket, user: User) -> None: ...
    async def inside(websocket: WebSocket, users: list[User]) -> None: ...
    async def called(websocket: WebSocket, user: Annotated[User, Depends()]) -> None: ...
    async def broken(websocket: WebSocket, user: Model.User) -> None: ...

    for function, sentence in (
        (query, "query: parameter 'user': 'User' is not known"),
        (inside, "inside: parameter 'users': 'User' is not known"),
        (called, r"parameter 'user' has Depends\(\) without a function"),
        (broken, "parameter 'user' has the annotation 'Model.User', which cannot be evaluated"),
    ):
        with pytest.raises(TypeError, match=sentence):
            WebSocketRoute("/", function)


async def test_a_decorated_function(autojump_clock: MockClock) -> None:
    """functools.wraps shows the signature and the kind of what it wraps."""
    from collections.abc import Callable

    def traced(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return call

    @traced
    async def get_name(name: str) -> str:
        return name

    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, name: Annotated[str, Depends(get_name)]) -> None:
        await websocket.accept()
        await websocket.send_json(name)

    assert await answer(app, "/?name=ada") == "ada"
