"""Routes to endpoints: what may stand behind one, and how paths find it."""

from typing import Any

import pytest
from starlette.endpoints import WebSocketEndpoint as StarletteEndpoint
from starlette.requests import Request
from starlette.routing import Mount, Route, Router
from trio.testing import MockClock

from wsframework import App, WebSocket, WebSocketEndpoint, WebSocketRoute
from wsframework.testing import HandshakeRefused, connect


class Where(WebSocketEndpoint):
    """Says where it was found."""

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json([websocket["path"], websocket.path_params])


async def where(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json([websocket["path"], websocket.path_params])


@pytest.mark.parametrize("endpoint", [Where, where])
@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("/", "/", {}),
        ("/chat/{room}", "/chat/1", {"room": "1"}),
        ("/chat/{room}", "/chat/a%20b", {"room": "a b"}),
        ("/chat/{room}", "/chat/%C3%BC", {"room": "ü"}),
        ("/item/{number:int}", "/item/7", {"number": 7}),
        ("/item/{number:float}", "/item/7.5", {"number": 7.5}),
        ("/files/{rest:path}", "/files/a/b", {"rest": "a/b"}),
    ],
)
async def test_paths(endpoint: Any, pattern: str, path: str, found: dict[str, Any], autojump_clock: MockClock) -> None:
    """A path finds its endpoint, class or function, and its parameters come converted."""
    async with connect(App(routes=[WebSocketRoute(pattern, endpoint)]), path) as client:
        assert (await client.receive_json())[1] == found


@pytest.mark.parametrize("path", ["/nope", "/chat", "/chat/", "/chat/1/2", "/item/x", "//chat/1"])
async def test_unknown_paths(path: str, autojump_clock: MockClock) -> None:
    """A path that no route knows is answered with 404, before there is a WebSocket."""
    app = App(routes=[WebSocketRoute("/chat/{room}", Where), WebSocketRoute("/item/{number:int}", Where)])
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, path):
            pass
    assert (refused.value.status, refused.value.body) == (404, b"Not Found\n")


async def test_the_first_route_that_fits(autojump_clock: MockClock) -> None:
    """Routes are tried in their order."""

    async def first(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("first")

    app = App(routes=[WebSocketRoute("/chat/lobby", first), WebSocketRoute("/chat/{room}", Where)])
    async with connect(app, "/chat/lobby") as client:
        assert await client.receive() == "first"
    async with connect(app, "/chat/other") as client:
        assert (await client.receive_json())[1] == {"room": "other"}


async def test_mounted(autojump_clock: MockClock) -> None:
    """Routes below a Mount get the parameters of both, and an unknown path below it is 404 as elsewhere."""
    app = App(routes=[Mount("/team/{team}", routes=[WebSocketRoute("/chat/{room}", Where)])])
    async with connect(app, "/team/red/chat/1") as client:
        assert (await client.receive_json())[1] == {"team": "red", "room": "1"}
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, "/team/red/nope"):
            pass
    assert refused.value.status == 404


async def test_a_router_with_an_answer_of_its_own(autojump_clock: MockClock) -> None:
    """A Router that was given a default keeps it, below a Mount too."""
    router = Router([WebSocketRoute("/chat", Where)], default=Where)
    async with connect(App(routes=[Mount("/below", router)]), "/below/nope") as client:
        assert (await client.receive_json())[0] == "/below/nope"


async def test_an_app_in_an_app(autojump_clock: MockClock) -> None:
    """An App below a Mount serves its own routes, with 404 for what it does not know."""
    inner = App(routes=[WebSocketRoute("/chat", Where)])
    app = App(routes=[Mount("/inner", inner)])
    async with connect(app, "/inner/chat") as client:
        assert (await client.receive_json())[0] == "/inner/chat"
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, "/inner/nope"):
            pass
    assert refused.value.status == 404


async def test_an_endpoint_below_a_mount(autojump_clock: MockClock) -> None:
    """An endpoint class is an ASGI application, so it can be mounted by itself."""
    async with connect(App(routes=[Mount("/where", Where)]), "/where/ever") as client:
        assert (await client.receive_json())[0] == "/where/ever"


async def test_an_http_route_is_nothing_for_websockets(autojump_clock: MockClock) -> None:
    """A WebSocket for the path of an HTTP route is 404, and a WebSocketRoute behind it for the same path is found."""
    app = App(
        routes=[Route("/", lambda request: None), Route("/page", lambda request: None), WebSocketRoute("/", Where)]
    )
    async with connect(app):
        pass
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, "/page"):
            pass
    assert refused.value.status == 404


def test_names() -> None:
    """url_path_for finds a route by its name: the endpoint's, or one that was given."""
    app = App(
        routes=[WebSocketRoute("/a/{x}", Where), WebSocketRoute("/b", where), WebSocketRoute("/c", where, name="c")]
    )
    urls = [route.url_path_for(name, **params) for route, name, params in zip(
        app.routes, ("Where", "where", "c"), ({"x": "1"}, {}, {}), strict=True
    )]  # fmt: skip
    assert urls == ["/a/1", "/b", "/c"]


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        (StarletteEndpoint, "WebSocketEndpoint for '/x' is no WebSocketEndpoint"),
        (int, "int for '/x' is no WebSocketEndpoint; derive it from wsframework's"),
        (lambda websocket: None, "<lambda> for '/x' must be async: write `async def <lambda>`"),
        (Where({"type": "websocket"}, None, None), "is a WebSocketEndpoint or an async function"),  # type: ignore[arg-type]
        ("where", "is a WebSocketEndpoint or an async function, not 'where'"),
        (None, "is a WebSocketEndpoint or an async function, not None"),
    ],
)
def test_what_cannot_be_an_endpoint(endpoint: Any, words: str) -> None:
    """Anything else is refused where the route is written, with words that help."""
    with pytest.raises(TypeError) as error:
        WebSocketRoute("/x", endpoint)
    assert words in str(error.value)


def test_a_path_without_a_slash() -> None:
    """A path begins with a slash, as in Starlette."""
    with pytest.raises(ValueError, match="begins with a slash: '/chat', not 'chat'"):
        WebSocketRoute("chat", Where)


async def test_names_of_all_routes(autojump_clock: MockClock) -> None:
    """A WebSocket finds the URLs of all routes, also of those of HTTP, by the names that they are given or have."""

    async def page(request: Request) -> str:
        return "a page"

    async def named(websocket: WebSocket) -> None:
        await websocket.accept()
        names = ["front", "page", "chat", "Where", "gold", "metal"]
        await websocket.send_json([websocket.url_for(name).path for name in names])

    app = App()
    app.route("/front", name="front")(page)
    app.route("/page")(page)
    app.route("/chat", websocket=True, name="chat")(named)
    app.websocket("/where")(Where)
    app.event_stream("/prices/gold", "gold")
    app.event_stream("/prices/silver", "silver", name="metal")
    async with connect(app, "/chat") as client:
        paths = await client.receive_json()
    assert paths == ["/front", "/page", "/chat", "/where", "/prices/gold", "/prices/silver"]
