"""Annotations with strings inside, in a module whose annotations are values."""

import sys
from enum import Enum
from typing import Annotated, Any, Optional

import pytest
from trio.testing import MockClock

from wsframework import App, Query, WebSocket
from wsframework.testing import connect


async def answer(app: App, path: str) -> Any:
    async with connect(app, path) as client:
        return await client.receive_json()


async def test_strings_inside(autojump_clock: MockClock) -> None:
    """Names in strings are found, also of classes that are defined later."""
    app = App()

    class Size(Enum):
        SMALL = "small"

    @app.websocket("/")
    async def endpoint(
        websocket: "WebSocket",
        one: Annotated["Colour", Query()],
        many: list["Colour"],
        size: "Size",
        perhaps: Optional["Colour"] = None,
        number: "int" = 0,
    ) -> None:
        await websocket.accept()
        await websocket.send_json([one, many, size, perhaps, number])

    path = "/?one=red&many=red&many=red&size=small&perhaps=red&number=3"
    assert await answer(app, path) == ["red", ["red", "red"], "small", "red", 3]


class Colour(Enum):
    RED = "red"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement is of Python 3.12")
async def test_type_statement(autojump_clock: MockClock) -> None:
    """A name that a type statement made stands for what it names."""
    names: dict[str, Any] = {"Annotated": Annotated, "Query": Query, "WebSocket": WebSocket}
    code = """
type Page = Annotated[int, Query(ge=1)]

async def endpoint(websocket: WebSocket, page: Page) -> None:
    await websocket.accept()
    await websocket.send_json(page)
"""
    exec(code, names)
    app = App()
    app.websocket("/")(names["endpoint"])
    assert await answer(app, "/?page=3") == 3
