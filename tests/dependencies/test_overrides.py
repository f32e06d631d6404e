"""`app.dependency_overrides`: what stands in for a dependency, for whom, and for how long."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import pytest
from starlette.routing import Mount
from trio.testing import MockClock

from wsframework import (
    App,
    Depends,
    Header,
    Hub,
    Security,
    SecurityScopes,
    WebSocket,
    WebSocketEndpoint,
    WebSocketStateError,
)
from wsframework.testing import connect


async def get_name(x_name: Annotated[str, Header()]) -> str:
    return x_name


async def greet(name: Annotated[str, Depends(get_name)]) -> str:
    return f"hello {name}"


async def test_overrides(autojump_clock: MockClock) -> None:
    """An override stands in wherever the function is needed, with parameters of its own, until it is taken away."""
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, greeting: Annotated[str, Depends(greet)]) -> None:
        await websocket.accept()
        await websocket.send_text(greeting)

    async def greeting() -> str:
        async with connect(app, "/?name=query", headers={"x-name": "header"}) as client:
            return await client.receive_text()

    def get_test_name(name: str) -> str:
        return name

    assert await greeting() == "hello header"
    app.dependency_overrides[get_name] = get_test_name
    assert await greeting() == "hello query"
    app.dependency_overrides[greet] = lambda: "good morning"
    assert await greeting() == "good morning"
    app.dependency_overrides.clear()
    assert await greeting() == "hello header"


async def test_overrides_in_a_message(autojump_clock: MockClock) -> None:
    """They live as long as what they stand for, and yield if they like."""
    log: list[str] = []

    async def fake() -> AsyncIterator[str]:
        log.append("begin")
        yield "fake"
        log.append("end")

    app = App()
    app.dependency_overrides[get_name] = fake

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_receive(
            self, websocket: WebSocket, data: str, greeting: Annotated[str, Depends(greet, scope="message")]
        ) -> None:
            log.append(greeting)

    async with connect(app) as client:
        await client.send("1")
        await client.send("2")
    assert log == ["begin", "hello fake", "hello fake", "end"]

    app.dependency_overrides[greet] = fake
    log.clear()
    async with connect(app) as client:
        await client.send("1")
        await client.send("2")
    assert log == ["begin", "fake", "end", "begin", "fake", "end"]


async def test_in_another_application(autojump_clock: MockClock) -> None:
    """An endpoint class in an application of Starlette has dependencies too, and the overrides of that one, if any."""
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute

    class Endpoint(WebSocketEndpoint):
        async def on_connect(
            self, websocket: WebSocket, app: Starlette, name: Annotated[str, Depends(get_name)]
        ) -> None:
            assert app is websocket.app
            await websocket.accept()
            await websocket.send_text(name)

    app = Starlette(routes=[WebSocketRoute("/", Endpoint)])
    async with connect(app, headers={"x-name": "header"}) as client:
        assert await client.receive() == "header"
    app.dependency_overrides = {get_name: lambda: "override"}  # type: ignore[attr-defined]  # as FastAPI's has
    async with connect(app) as client:
        assert await client.receive() == "override"


async def test_without_an_app(autojump_clock: MockClock) -> None:
    """A class that is served by itself has no hub and no application to give; the error says so."""

    class WantsHub(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket, hub: Hub) -> None: ...

    class WantsApp(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket, app: App) -> None: ...

    for endpoint, sentence in ((WantsHub, "there is no hub"), (WantsApp, "asks for the application as App")):
        with pytest.raises(WebSocketStateError, match=sentence):
            async with connect(endpoint):
                pass


async def test_overrides_are_those_of_one_app(autojump_clock: MockClock) -> None:
    """Another App with the same endpoint is not touched; the App that is mounted has the say."""

    async def endpoint(websocket: WebSocket, name: Annotated[str, Depends(get_name)]) -> None:
        await websocket.accept()
        await websocket.send_text(name)

    inner, outer = App(), App()
    inner.websocket("/")(endpoint)
    outer.websocket("/direct")(endpoint)
    outer.add_route(Mount("/inner", app=inner))
    outer.dependency_overrides[get_name] = lambda: "outer"
    for path, name in (("/direct", "outer"), ("/inner/", "header")):
        async with connect(outer, path, headers={"x-name": "header"}) as client:
            assert await client.receive() == name


async def test_an_override_that_is_a_plain_generator(autojump_clock: MockClock) -> None:
    """It gives what it yields, in the loop, and goes on behind the yield when the connection ends."""
    log: list[str] = []

    def fake() -> Iterator[str]:
        yield "fake"
        log.append("end")

    app = App()
    app.dependency_overrides[get_name] = fake

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, greeting: Annotated[str, Depends(greet)]) -> None:
        await websocket.accept()
        log.append(greeting)

    async with connect(app) as client:
        await client.wait_closed()
    assert log == ["hello fake", "end"]


async def test_an_override_is_asked_for_the_same_scopes(autojump_clock: MockClock) -> None:
    """An override that looks at them gets the scopes of the `Security` markers on the way to what it stands for."""

    async def fake(scopes: SecurityScopes) -> str:
        return scopes.scope_str

    app = App()
    app.dependency_overrides[get_name] = fake

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, greeting: Annotated[str, Security(greet, scopes=["read", "me"])]) -> None:
        await websocket.accept()
        await websocket.send_text(greeting)

    async with connect(app) as client:
        assert await client.receive() == "hello read me"
