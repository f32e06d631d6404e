"""The check of Origin in front of every route: of an app, below mounts and middleware, and outside of any app."""

import logging
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Host, Mount, Router
from starlette.routing import WebSocketRoute as StarletteRoute
from starlette.websockets import WebSocket as StarletteWebSocket
from trio.testing import MockClock

from tests.app.origins import EVIL, PARTNER, Guarded, guarded, infos, refusal
from wsframework import App, WebSocketRoute
from wsframework.testing import connect


@pytest.fixture
def ran() -> list[str]:
    """What ran of the endpoint."""
    Guarded.ran = []
    return Guarded.ran


async def theirs(websocket: StarletteWebSocket) -> None:
    Guarded.ran.append("starlette")
    await websocket.accept()
    await websocket.close()


def app_with_everything(**options: Any) -> App:
    """An app in which each path is served in another way."""
    return App(
        routes=[
            WebSocketRoute("/class", Guarded),
            WebSocketRoute("/function", guarded),
            StarletteRoute("/starlette", theirs),
            Mount("/mounted", Starlette(routes=[StarletteRoute("/theirs", theirs), WebSocketRoute("/ours", Guarded)])),
            Mount("/router", Router(routes=[Mount("/deep", routes=[StarletteRoute("/theirs", theirs)])])),
            Mount("/app", App(routes=[WebSocketRoute("/ours", guarded)])),
            Mount("/bare", Guarded),
        ],
        **options,
    )


PATHS = [
    "/class",
    "/function",
    "/starlette",
    "/mounted/theirs",
    "/mounted/ours",
    "/router/deep/theirs",
    "/app/ours",
    "/bare/or/anything",
]


UNKNOWN = ["/", "/unknown", "/router/deep/unknown", "/app/unknown"]


@pytest.mark.parametrize("path", [*PATHS, *UNKNOWN, "/mounted/unknown"])
async def test_every_route_is_behind_the_check(
    path: str, ran: list[str], autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A page of another site gets 403 wherever it asks, one line is logged, and nothing of an endpoint runs."""
    caplog.set_level(logging.INFO)
    assert await refusal(app_with_everything(), path, EVIL) == 403
    assert ran == []
    [record] = [record for record in caplog.records if record.name == "wsframework"]
    assert record.levelno == logging.INFO


@pytest.mark.parametrize("path", PATHS)
async def test_every_route_is_open_to_pages_of_the_same_origin(
    path: str, ran: list[str], autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A page of the same origin is served, and so is one that the app's list has."""
    caplog.set_level(logging.INFO)
    for origin in ("http://testserver", PARTNER):
        async with connect(app_with_everything(allowed_origins=[PARTNER]), path, headers={"origin": origin}):
            pass
    assert len(ran) >= 2
    assert infos(caplog) == []


@pytest.mark.parametrize("path", UNKNOWN)
async def test_an_unknown_path_is_a_404_for_who_may_ask(path: str, autojump_clock: MockClock) -> None:
    """The check comes before the answer that there is nothing, and does not change it."""
    assert await refusal(app_with_everything(), path, "http://testserver") == 404


async def test_a_list_on_a_route(ran: list[str], autojump_clock: MockClock) -> None:
    """The list of a route holds for it instead of the app's, to let in more and to let in less."""
    app = App(allowed_origins=[PARTNER])
    app.websocket("/app")(guarded)
    app.websocket("/wide", allowed_origins=["*"])(guarded)
    app.websocket("/other", allowed_origins=[EVIL])(guarded)
    app.route("/narrow", websocket=True, allowed_origins=[])(guarded)
    for path, origin in [("/app", PARTNER), ("/wide", EVIL), ("/wide", "null"), ("/other", EVIL)]:
        async with connect(app, path, headers={"origin": origin}):
            pass
    for path in ("/app", "/wide", "/other", "/narrow"):
        async with connect(app, path, headers={"origin": "http://testserver"}):
            pass
    ran.clear()
    for path, origin in [("/app", EVIL), ("/other", PARTNER), ("/narrow", PARTNER), ("/wide/x", EVIL)]:
        assert await refusal(app, path, origin) == 403
    assert ran == []


@pytest.mark.parametrize(
    "mount",
    [
        lambda routes: Mount("/below", routes=routes),
        lambda routes: Mount("/below", Starlette(routes=routes)),
        lambda routes: Mount("/below", App(routes=routes)),
        lambda routes: Mount("/below", App(routes=routes, allowed_origins=[])),
        lambda routes: Mount("", routes=[Mount("/below", routes=routes)]),
        lambda routes: Host("testserver", Router([Mount("/below", routes=routes)])),
    ],
)
async def test_a_list_on_a_route_below_a_mount(mount: Any, ran: list[str], autojump_clock: MockClock) -> None:
    """A route's own list is found wherever the route is."""
    app = App(
        routes=[
            mount(
                [
                    WebSocketRoute("/{name}/wide", Guarded, allowed_origins=[PARTNER]),
                    WebSocketRoute("/{name}/app", Guarded),
                ]
            )
        ]
    )
    async with connect(app, "/below/it/wide", headers={"origin": PARTNER}):
        pass
    assert ran == ["init", "connect", "disconnect"]
    assert await refusal(app, "/below/it/wide", EVIL) == 403
    assert await refusal(app, "/below/it/app", PARTNER) == 403
    assert len(ran) == 3


async def test_an_app_in_an_app(ran: list[str], autojump_clock: MockClock) -> None:
    """The list of a mounted app holds for it instead of the outer one's; without one it has the outer one's."""
    own = App(routes=[WebSocketRoute("/", guarded)], allowed_origins=[PARTNER])
    app = App(allowed_origins=["https://outer.example"])
    app.mount("/own", own)
    app.mount("/none", App(routes=[WebSocketRoute("/", guarded)]))
    async with connect(app, "/own/", headers={"origin": PARTNER}):
        pass
    async with connect(app, "/none/", headers={"origin": "https://outer.example"}):
        pass
    assert await refusal(app, "/own/", "https://outer.example") == 403
    assert await refusal(app, "/none/", PARTNER) == 403
    assert ran == ["function", "function"]


class PassOn:
    """Middleware that hides what is behind it."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(dict(scope), receive, send)


async def test_middleware_around_a_mount(ran: list[str], autojump_clock: MockClock) -> None:
    """The check is made before middleware and known behind it, and a route's list is found through a Mount's own."""
    routes = [WebSocketRoute("/app", Guarded), WebSocketRoute("/wide", Guarded, allowed_origins=[EVIL])]
    app = App(
        routes=[
            Mount("/seen", routes=routes, middleware=[Middleware(PassOn)]),
            Mount("/hidden", PassOn(Router(routes))),
        ],
        allowed_origins=[PARTNER],
    )
    for path, origin in [("/seen/app", PARTNER), ("/hidden/app", PARTNER), ("/seen/wide", EVIL)]:
        async with connect(app, path, headers={"origin": origin}):
            pass
    ran.clear()
    assert await refusal(app, "/seen/app", EVIL) == 403
    assert await refusal(app, "/hidden/wide", EVIL) == 403  # the app cannot see that a list below would allow it
    assert ran == []


class Elsewhere(PassOn):
    """Middleware that leads every path to another route."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app({**scope, "path": f"{scope['root_path']}/theirs"}, receive, send)


async def test_middleware_that_leads_elsewhere(ran: list[str], autojump_clock: MockClock) -> None:
    """What a route's list refuses is refused, although middleware would lead it past that route."""
    routes = [WebSocketRoute("/wide", Guarded, allowed_origins=[PARTNER]), StarletteRoute("/theirs", theirs)]
    app = App(routes=[Mount("/below", routes=routes, middleware=[Middleware(Elsewhere)])])
    assert await refusal(app, "/below/wide", EVIL) == 403
    assert ran == []
    async with connect(app, "/below/wide", headers={"origin": "http://testserver"}):
        pass
    assert ran == ["starlette"]


class Otherwise(PassOn):
    """Middleware that leads from one route to another, as one for a prefix does."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app({**scope, "path": scope["path"].replace("/open", "/closed")}, receive, send)


@pytest.mark.parametrize("outer", [None, [EVIL]])
async def test_middleware_that_leads_to_a_closed_route(
    outer: list[str] | None, ran: list[str], autojump_clock: MockClock
) -> None:
    """The list of one route lets nobody into another, whoever has looked before."""
    routes = [
        WebSocketRoute("/open", Guarded, allowed_origins=["*"]),
        WebSocketRoute("/closed/class", Guarded),
        WebSocketRoute("/closed/function", guarded),
        WebSocketRoute("/open/class", Guarded, allowed_origins=["*"]),
        WebSocketRoute("/open/function", guarded, allowed_origins=["*"]),
    ]
    inner = App(routes=[Mount("/below", routes=routes, middleware=[Middleware(Otherwise)])], allowed_origins=[])
    app = App(routes=[Mount("/app", inner)], allowed_origins=outer)
    for kind in ("class", "function"):
        assert await refusal(app, f"/app/below/open/{kind}", EVIL) == 403
    assert ran == ["init"]
    ran.clear()
    for kind in ("class", "function"):
        async with connect(app, f"/app/below/open/{kind}", headers={"origin": "http://testserver"}):
            pass
    assert ran == ["init", "connect", "disconnect", "function"]


def test_a_list_for_http() -> None:
    """HTTP has no such check, so a list for an HTTP route is a mistake."""
    with pytest.raises(TypeError, match="add websocket=True"):
        App().route("/", allowed_origins=[PARTNER])


# Outside of any App


@pytest.mark.parametrize(
    "app",
    [
        Starlette(routes=[StarletteRoute("/", Guarded)]),
        Starlette(routes=[WebSocketRoute("/", Guarded)]),
        Starlette(routes=[WebSocketRoute("/", guarded)]),
        Starlette(routes=[Mount("/", App(routes=[WebSocketRoute("/", Guarded)]))]),
        Starlette(routes=[Mount("/", Guarded)]),
        Guarded,
    ],
)
async def test_outside_of_an_app(
    app: Any, ran: list[str], autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An endpoint that another framework or the server itself serves is checked too; no hook of it runs."""
    caplog.set_level(logging.INFO)
    assert await refusal(app, "/", EVIL) == 403
    assert [entry for entry in ran if entry != "init"] == []
    assert len(infos(caplog)) == 1
    async with connect(app, "/", headers={"origin": "http://testserver"}):
        pass
    async with connect(app, "/"):
        pass
    assert len(ran) > 1


async def test_a_list_on_a_route_in_another_application(ran: list[str], autojump_clock: MockClock) -> None:
    """Our route has its own list in Starlette too."""
    app = Starlette(routes=[WebSocketRoute("/", Guarded, allowed_origins=[PARTNER])])
    async with connect(app, "/", headers={"origin": PARTNER}):
        pass
    ran.clear()
    assert await refusal(app, "/", EVIL) == 403
    assert ran == []
