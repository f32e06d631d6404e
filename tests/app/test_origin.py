"""Which pages may open a WebSocket: the check of Origin, its settings, and its place in front of every route."""

import logging
from collections.abc import Iterable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Host, Mount, Router
from starlette.routing import WebSocketRoute as StarletteRoute
from starlette.websockets import WebSocket as StarletteWebSocket
from trio.testing import MockClock

from tests.asgi.server import ASGIServer
from wsframework import App, WebSocket, WebSocketEndpoint, WebSocketRoute
from wsframework.origin import OriginPolicy, explain, parse_origin
from wsframework.testing import HandshakeRefused, connect

EVIL = "https://evil.example"
PARTNER = "https://partner.example"


def scope(
    *origins: str | bytes, host: str | None = "good.com", scheme: str = "wss", hosts: Iterable[str] = ()
) -> dict[str, Any]:
    """The part of a scope that the check looks at."""
    headers = [(b"host", value.encode()) for value in ([host] if host is not None else [])]
    headers += [(b"host", value.encode()) for value in hosts]
    headers += [(b"origin", value if isinstance(value, bytes) else value.encode()) for value in origins]
    return {"type": "websocket", "path": "/", "scheme": scheme, "headers": headers}


# The check


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("https://good.com", "good.com", "wss"),
        ("http://good.com", "good.com", "ws"),
        ("https://good.com", "good.com", "https"),
        ("HTTPS://GOOD.COM", "good.com", "wss"),
        ("https://good.com", "Good.Com", "wss"),
        ("https://good.com:443", "good.com", "wss"),
        ("https://good.com", "good.com:443", "wss"),
        ("http://good.com", "good.com:80", "ws"),
        ("https://good.com:8443", "good.com:8443", "wss"),
        ("http://localhost:8000", "localhost:8000", "ws"),
        ("http://chat_web:8000", "chat_web:8000", "ws"),
        ("http://[::1]:8000", "[::1]:8000", "ws"),
        ("http://[0:0:0:0:0:0:0:1]", "[::1]", "ws"),
        ("https://xn--mnchen-3ya.example", "xn--mnchen-3ya.example", "wss"),
    ],
)
def test_a_page_of_the_same_origin_may(origin: str, host: str, scheme: str) -> None:
    """Scheme, host and port are the same, however they are written."""
    assert OriginPolicy().allows(scope(origin, host=host, scheme=scheme))


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.com",
        "null",
        "https://good.com.evil.com",
        "https://evilgood.com",
        "https://good.co",
        "https://www.good.com",
        "https://good.com.",
        "https://good.com:444",
        "https://good.com:80",
        "https://good.com:0443",
        "https://good.com:",
        "https://good.com:443443",
        "https://good.com:x",
        "http://good.com",
        "http://good.com:443",
        "wss://good.com",
        "ftp://good.com",
        "//good.com",
        "good.com",
        "https:good.com",
        "https:///good.com",
        "https://",
        "",
        " ",
        "https://good.com/",
        "https://good.com/path",
        "https://good.com?",
        "https://good.com#",
        "https://good.com\\",
        "https://user@good.com",
        "https://good.com@evil.com",
        "https://good.com:443@evil.com",
        "https://evil.com https://good.com",
        "https://good.com, https://good.com",
        " https://good.com",
        "https://good.com\t",
        "https://good.com\n",
        "https://good.com\0",
        "https://good%2ecom",
        "https://g\u00f6\u00f6d.com",
        "https://[good.com]",
        "https://[::1]",
        b"https://good.com\xff",
        b"\xff\xfe",
        "*",
    ],
)
def test_any_other_page_may_not(origin: str | bytes) -> None:
    """What differs, and what no browser sends, is refused."""
    assert not OriginPolicy().allows(scope(origin))


def test_letters_that_only_look_the_same() -> None:
    """Only ASCII letters have two cases: the Kelvin sign is no k, and no comparison folds it into one."""
    assert not OriginPolicy().allows(scope("https://\u212aey.com", host="key.com"))
    with pytest.raises(ValueError, match="is no origin"):
        OriginPolicy(["https://\u212aey.com"])


def test_two_origins() -> None:
    """A browser sends one Origin header; two are refused, though they say the same."""
    assert not OriginPolicy().allows(scope("https://good.com", "https://good.com"))
    assert not OriginPolicy([PARTNER]).allows(scope(PARTNER, PARTNER))


def test_names_of_headers_in_any_case() -> None:
    """A server that passes names on as they came does not open the door."""
    headers = [(b"Host", b"good.com"), (b"ORIGIN", b"https://evil.com")]
    assert not OriginPolicy().allows({"scheme": "wss", "headers": headers})


@pytest.mark.parametrize("host", ["good.com/", "good.com:", "good.com:0", "u@good.com", "", "good com", "[::1", "*"])
def test_a_host_that_is_garbled(host: str) -> None:
    """With a Host that is no host nothing is of the same origin, whatever the Origin says."""
    assert not OriginPolicy().allows(scope(f"https://{host}", host=host))
    assert not OriginPolicy().allows(scope("https://good.com", host=host))


def test_no_host_or_two() -> None:
    """Without one Host header nothing is of the same origin; a list does not need it."""
    assert not OriginPolicy().allows(scope("https://good.com", host=None))
    assert not OriginPolicy().allows(scope("https://good.com", hosts=["good.com"]))
    assert OriginPolicy([PARTNER]).allows(scope(PARTNER, host=None))


@pytest.mark.parametrize("scheme", ["", None])
def test_a_scope_without_a_scheme(scheme: str | None) -> None:
    """ASGI's scheme is optional, and ws by default."""
    assert OriginPolicy().allows({**scope("http://good.com"), "scheme": scheme})
    assert not OriginPolicy().allows({**scope("https://good.com"), "scheme": scheme})


def test_a_scheme_that_nobody_knows() -> None:
    """A server with a scheme of its own has no pages of the same origin."""
    assert not OriginPolicy().allows(scope("https://good.com", scheme="gopher"))


def test_no_origin() -> None:
    """Whatever sends no Origin is no browser, and the check is for browsers."""
    assert OriginPolicy().allows(scope())
    assert OriginPolicy([PARTNER]).allows(scope(host=None))


@given(
    st.sampled_from(["http", "https"]),
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{2,5}){0,2}", fullmatch=True),
    st.none() | st.integers(1, 65535),
)
def test_every_page_is_of_its_own_origin(scheme: str, host: str, port: int | None) -> None:
    """The origin that a browser makes of a page's address is allowed by the Host that it makes of it."""
    authority = host if port is None else f"{host}:{port}"
    page = scope(f"{scheme}://{authority}", host=authority.upper(), scheme={"http": "ws", "https": "wss"}[scheme])
    assert OriginPolicy().allows(page)
    assert not OriginPolicy().allows({**page, "scheme": {"http": "wss", "https": "ws"}[scheme]})


@given(st.binary(max_size=60) | st.from_regex(rb"https?://[^/]{0,20}", fullmatch=True), st.binary(max_size=30))
@example(b"https://good.com", b"good.com")
@example(b"https://[::%1]", b"[::%1]")
@example(b"https://[6578:616d:706c:6565:7861:6d70:6c65:2e63]", b"exampleexample.c")
def test_bytes_of_any_kind(origin: bytes, host: bytes) -> None:
    """Nothing raises, and what is allowed says the same on both sides."""
    asked = {"type": "websocket", "scheme": "wss", "headers": [(b"host", host), (b"origin", origin)]}
    if OriginPolicy().allows(asked):
        # The host that is left when the parts that may differ are taken away.
        assert origin.lower().removeprefix(b"https://").removesuffix(b":443") == host.lower().removesuffix(b":443")
    assert explain(asked).isascii()
    assert explain(asked).isprintable()


# The setting


def test_a_list_adds() -> None:
    """The pages of a list may connect, exactly those, and pages of the same origin still may."""
    policy = OriginPolicy([PARTNER, "http://localhost:5173", "chrome-extension://abc"])
    assert policy.allows(scope(PARTNER))
    assert policy.allows(scope("HTTPS://PARTNER.EXAMPLE:443"))
    assert policy.allows(scope("http://localhost:5173"))
    assert policy.allows(scope("chrome-extension://abc"))
    assert policy.allows(scope("https://good.com"))
    for other in ("http://partner.example", f"{PARTNER}:444", "http://localhost", EVIL, "null"):
        assert not policy.allows(scope(other))


def test_everyone() -> None:
    """A star lets in every page of every site."""
    for origin in (EVIL, "null", "garbage"):
        assert OriginPolicy(["*"]).allows(scope(origin, host=None))


def test_null() -> None:
    """Pages without an origin are let in by name, and only they."""
    assert OriginPolicy(["null"]).allows(scope("null"))
    assert not OriginPolicy(["null"]).allows(scope(EVIL))


@pytest.mark.parametrize(
    ("entry", "right"),
    [
        ("https://chat.example.com/", "https://chat.example.com"),
        ("https://chat.example.com/room?x", "https://chat.example.com"),
        ("https://user:word@chat.example.com", "https://chat.example.com"),
        ("chat.example.com", "https://chat.example.com"),
        ("chat.example.com:8443", "https://chat.example.com:8443"),
        ("wss://chat.example.com", "https://chat.example.com"),
        ("ws://localhost:8000", "http://localhost:8000"),
        (" http://localhost ", "http://localhost"),
        ("https://m\u00fcnchen.example", "https://xn--mnchen-3ya.example"),
        ("https://*.example.com", "https://chat.example.com"),
        ("https://chat.example.com:99999", "https://chat.example.com"),
        ("https://[::1", "https://chat.example.com"),
        ("https://" + "x" * 64 + "\u00fc.example", "https://chat.example.com"),
        ("*.example.com", "https://chat.example.com"),
        ("", "https://chat.example.com"),
    ],
)
def test_an_entry_that_is_no_origin(entry: str, right: str) -> None:
    """The message shows the wrong spelling and the right one, which is taken."""
    with pytest.raises(ValueError, match="is no origin") as refused:
        OriginPolicy([PARTNER, entry])
    assert str(refused.value) == f"{entry!r} in allowed_origins is no origin: write {right!r}"
    OriginPolicy([right])


@pytest.mark.parametrize("allowed", [PARTNER, PARTNER.encode()])
def test_a_string_for_a_list(allowed: Any) -> None:
    """A bare string would be a list of letters; it is refused where it is written, on the app and on a route."""
    with pytest.raises(TypeError, match=r"write allowed_origins=\[b?'https://partner.example'\]"):
        App(allowed_origins=allowed)
    with pytest.raises(TypeError, match="allowed_origins is a list"):
        WebSocketRoute("/", WebSocketEndpoint, allowed_origins=allowed)


@pytest.mark.parametrize("allowed", [3, [3], [None], [PARTNER.encode()], [["https://partner.example"]]])
def test_other_things_for_a_list_of_strings(allowed: Any) -> None:
    """So is what is no list of strings."""
    with pytest.raises(TypeError, match="list of strings"):
        App(allowed_origins=allowed)


# In front of every route


class Guarded(WebSocketEndpoint):
    """Notes whatever of it runs."""

    ran: list[str]

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        super().__init__(scope, receive, send)
        self.ran.append("init")

    async def on_connect(self, websocket: WebSocket) -> None:
        self.ran.append("connect")
        await websocket.accept()

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        self.ran.append("disconnect")


@pytest.fixture
def ran() -> list[str]:
    """What ran of the endpoint."""
    Guarded.ran = []
    return Guarded.ran


async def guarded(websocket: WebSocket) -> None:
    Guarded.ran.append("function")
    await websocket.accept()


async def theirs(websocket: StarletteWebSocket) -> None:
    Guarded.ran.append("starlette")
    await websocket.accept()
    await websocket.close()


async def refusal(app: Any, path: str, origin: str) -> int:
    """The status of the answer to a page of this origin."""
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, path, headers={"origin": origin}):
            pass
    return refused.value.status


def infos(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "wsframework"]


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


# The answer and the log line


@pytest.mark.parametrize(
    "app", [App(), WebSocketEndpoint, App(routes=[WebSocketRoute("/", guarded, allowed_origins=[])])]
)
async def test_a_server_that_cannot_respond(app: Any) -> None:
    """Without the denial response the handshake is closed, which servers answer with 403."""
    server = ASGIServer()
    server.scope["headers"] = [(b"origin", b"https://evil.example")]
    await app(server.scope, server.receive, server.send)
    assert [event["type"] for event in server.sent] == ["websocket.close"]


@pytest.mark.parametrize(
    "app", [App(), WebSocketEndpoint, App(routes=[WebSocketRoute("/", guarded, allowed_origins=[])])]
)
async def test_a_server_that_can_respond(app: Any) -> None:
    """With it the answer is a whole response."""
    server = ASGIServer(can_respond=True)
    server.scope["headers"] = [(b"origin", b"https://evil.example")]
    await app(server.scope, server.receive, server.send)
    start, body = server.sent
    assert start["status"] == 403
    assert body["body"] == b"This Origin is not allowed.\n"


async def test_a_client_that_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    """A client that did not wait for its 403 is no error."""
    caplog.set_level(logging.INFO)
    server = ASGIServer(can_respond=True)
    server.scope["headers"] = [(b"origin", b"https://evil.example")]
    server.vanish()
    await App()(server.scope, server.receive, server.send)
    assert server.sent == []
    assert len(caplog.records) == 1


async def test_the_log_line(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """It says which Origin, which Host and scheme, and which setting would allow it."""
    caplog.set_level(logging.INFO)
    await refusal(App(), "/chat", EVIL)
    [line] = infos(caplog)
    assert line == (
        "refused a WebSocket at '/chat' for 127.0.0.1:50000 with 403: its Origin is 'https://evil.example', its Host "
        "'testserver' on a ws connection. To allow it: allowed_origins=['https://evil.example'] on the App or the "
        "WebSocketRoute. If it is your own page, and a proxy in front ends TLS or rewrites Host: run with "
        "--proxy-headers, and have the proxy pass Host on"
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (scope("null"), "allowed_origins=['null'] on the App or the WebSocketRoute, which lets in sandboxed frames"),
        (scope("a", "b"), "it has 2 Origin headers ('a', 'b'), and a browser sends one"),
        (scope("https://good.com/"), "no browser sends such an Origin"),
        (scope("https://good.com", host=None), "its Host missing on a wss connection"),
        (scope("https://x\r\n2026 INFO all is well\x1b[2J\x85\u2028"), r"'https://x\r\n2026 INFO all is well\x1b[2J"),
        (scope(EVIL, host="a\r\nb\0"), r"its Host 'a\r\nb\x00' on"),
        (scope("x" * 16_000), "'" + "x" * 200 + "'..., its Host"),
    ],
)
def test_other_log_lines(asked: dict[str, Any], said: str) -> None:
    """Each says what is wrong, shortens what is long, and escapes what could pass for a line of its own."""
    line = explain(asked)
    assert said in line
    assert line.isprintable()
    assert line.isascii()


def test_what_the_line_says_to_write_is_right() -> None:
    """The setting of the line allows what was refused."""
    asked = scope("HTTPS://Partner.example:8443")
    suggested = explain(asked).split("allowed_origins=['")[1].split("']")[0]
    assert OriginPolicy([suggested]).allows(asked)


def test_an_ipv6_address_is_not_the_name_with_the_same_bytes() -> None:
    """An address and a name are never equal."""
    assert parse_origin(b"http://[6578:616d:706c:6565:7861:6d70:6c65:2e63]") != parse_origin(b"http://exampleexample.c")
