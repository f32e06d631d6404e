"""Tests that were written with Starlette's test client: imports differ, the tests do not.

Each runs with both clients, against an application of Starlette's and one of ours.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

import wsframework
from wsframework import App
from wsframework.testing import TestClient

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would rather have another HTTP client
    import starlette.testclient

PATIENCE = 30.0  # seconds; the deadline by default is for programs that are tested, not for a machine that is busy


async def echo(websocket: Any) -> None:
    """Answer with the event that came, until the client leaves."""
    await websocket.accept()
    while (event := await websocket.receive())["type"] == "websocket.receive":
        await websocket.send({**event, "type": "websocket.send"})


async def ask(websocket: Any) -> None:
    """Tell what the handshake says, and close."""
    await websocket.accept(
        subprotocol=next(iter(websocket.scope["subprotocols"]), None), headers=[(b"x-answer", b"42")]
    )
    await websocket.send_json(tell(websocket))
    await websocket.close(4000, "asked")


async def show(request: Request) -> JSONResponse:
    return JSONResponse(tell(request))


async def move(request: Request) -> RedirectResponse:
    return RedirectResponse("/show")


async def remember(request: Request) -> PlainTextResponse:
    response = PlainTextResponse("remembered")
    response.set_cookie("seen", "yes")
    return response


async def fail(request: Request) -> PlainTextResponse:
    raise LookupError("where is my towel")


def tell(connection: Any) -> dict[str, Any]:
    return {
        "path": connection.url.path,
        "root_path": connection.scope["root_path"],
        "client": list(connection.client),
        "query": dict(connection.query_params),
        "token": connection.headers.get("x-token"),
        "agent": connection.headers.get("user-agent"),
        "cookies": connection.cookies,
    }


def routes(websocket_route: Any) -> list[Any]:
    paths: dict[str, Callable[..., Any]] = {"/echo": echo, "/ask": ask}
    http: dict[str, Callable[..., Any]] = {"/show": show, "/move": move, "/remember": remember, "/fail": fail}
    return [websocket_route(path, endpoint) for path, endpoint in paths.items()] + [
        Route(path, endpoint) for path, endpoint in http.items()
    ]


def theirs(app: Any, *args: Any, **options: Any) -> Any:
    return starlette.testclient.TestClient(app, *args, **{"backend": "trio", **options})


def ours(app: Any, *args: Any, **options: Any) -> Any:
    return TestClient(app, *args, **options, deadline=PATIENCE)


@pytest.fixture(params=[theirs, ours], ids=["Starlette's client", "our client"])
def client_class(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["Starlette's app", "our app"])
def app(request: pytest.FixtureRequest) -> Any:
    if request.param == "our app":
        return App(routes(wsframework.WebSocketRoute))
    return Starlette(routes=routes(WebSocketRoute))


def test_events(client_class: Any, app: Any) -> None:
    """``send`` and ``receive`` speak ASGI."""
    with client_class(app).websocket_connect("/echo") as websocket:
        websocket.send({"type": "websocket.receive", "text": "hello"})
        assert websocket.receive() == {"type": "websocket.send", "text": "hello"}
        websocket.send({"type": "websocket.receive", "bytes": b"\x00\xff"})
        assert websocket.receive() == {"type": "websocket.send", "bytes": b"\x00\xff"}
        websocket.send_text("")
        assert websocket.receive()["text"] == ""
        websocket.send({"type": "websocket.disconnect", "code": 4001, "reason": "enough"})


def test_messages(client_class: Any, app: Any) -> None:
    """The shorter ways to send and to receive."""
    with client_class(app).websocket_connect("/echo") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "hello"
        websocket.send_bytes(b"\x00\xff")
        assert websocket.receive_bytes() == b"\x00\xff"
        for mode in ("text", "binary"):
            websocket.send_json({"ü": [1, None]}, mode=mode)
            assert websocket.receive_json(mode=mode) == {"ü": [1, None]}
        websocket.close(code=4001, reason="enough")


def test_a_handshake(client_class: Any, app: Any) -> None:
    """What the client was given is in it: headers, cookies, the path that the application is under, an address."""
    client = client_class(
        app, headers={"X-Token": "secret"}, cookies={"a": "1"}, root_path="/api", client=("203.0.113.7", 4711)
    )
    with client.websocket_connect(
        "/api/ask?n=1", subprotocols=["chat", "other"], headers={"x-token": "another"}
    ) as websocket:
        assert websocket.accepted_subprotocol == "chat"
        assert (b"x-answer", b"42") in websocket.extra_headers
        assert websocket.receive_json() == {
            "path": "/api/ask",
            "root_path": "/api",
            "client": ["203.0.113.7", 4711],
            "query": {"n": "1"},
            "token": "another",
            "agent": "testclient",
            "cookies": {"a": "1"},
        }
        assert websocket.receive() == {"type": "websocket.close", "code": 4000, "reason": "asked"}


def test_a_handshake_by_default(client_class: Any, app: Any) -> None:
    """The address of a test is no real one."""
    with client_class(app).websocket_connect("/ask", None) as websocket:
        assert websocket.accepted_subprotocol is None
        assert websocket.receive_json()["client"] == ["testclient", 50000]
        with pytest.raises(WebSocketDisconnect) as caught:
            websocket.receive_text()
    assert (caught.value.code, caught.value.reason) == (4000, "asked")


def test_requests(client_class: Any, app: Any) -> None:
    """They have the same, and follow redirects unless told otherwise."""
    client = client_class(app, "http://testserver", True, "/api", cookies=[("a", "1")], headers={"x-token": "t"})
    assert client.get("/api/show", params={"n": "1"}).json() == {
        "path": "/api/show",
        "root_path": "/api",
        "client": ["testclient", 50000],
        "query": {"n": "1"},
        "token": "t",
        "agent": "testclient",
        "cookies": {"a": "1"},
    }
    client = client_class(app)
    assert client.get("/move").json()["path"] == "/show"
    assert client.get("/move", follow_redirects=False).status_code == 307
    client = client_class(app, follow_redirects=False)
    assert client.get("/move").status_code == 307
    assert client.get("/move", follow_redirects=True).status_code == 200


def test_headers_and_cookies_can_be_changed(client_class: Any, app: Any) -> None:
    """Names of headers have no case, and what the application sets is kept."""
    client = client_class(app, headers={"X-Token": "old"})
    client.headers["x-token"] = "new"
    client.headers.update({"User-Agent": "me"})
    client.cookies.set("a", "1")
    client.cookies["b"] = "2"
    client.cookies.delete("b")
    client.get("/remember")
    with client.websocket_connect("/ask") as websocket:
        told = websocket.receive_json()
    assert (told["token"], told["agent"], told["cookies"]) == ("new", "me", {"a": "1", "seen": "yes"})
    assert client.cookies.get("seen") == client.get("/show").json()["cookies"]["seen"] == "yes"


def test_errors_of_the_application(client_class: Any, app: Any) -> None:
    """They surface in the test, unless it wants the response."""
    with pytest.raises(LookupError, match="towel"):
        client_class(app).get("/fail")
    assert client_class(app, raise_server_exceptions=False).get("/fail").status_code == 500


def test_options_of_the_run(client_class: Any) -> None:
    """``backend_options`` are those of ``trio.run``."""

    class Counter(trio.abc.Instrument):
        runs = 0

        def before_run(self) -> None:
            self.runs += 1

    counter = Counter()
    client = client_class(Starlette(routes=routes(WebSocketRoute)), backend_options={"instruments": [counter]})
    assert client.get("/show").status_code == 200
    assert counter.runs == 1


def test_the_other_event_loop() -> None:
    """A test that asks for asyncio is told that there is none, rather than run on Trio in silence."""
    with pytest.raises(ValueError, match="run on Trio: leave out backend, or write \"trio\", not 'asyncio'"):
        TestClient(App(), backend="asyncio")
    assert TestClient(App(), backend="trio").get("/").status_code == 404


def test_the_signature() -> None:
    """Ours takes what Starlette's takes, by name and in its order; by default it runs on Trio."""

    def parameters(function: Any) -> list[tuple[str, Any]]:
        found = inspect.signature(function).parameters.values()
        return [(parameter.name, parameter.default) for parameter in found]

    expected = [
        (name, "trio" if name == "backend" else default)
        for name, default in parameters(starlette.testclient.TestClient)
    ]
    assert parameters(TestClient)[: len(expected)] == expected
    session = starlette.testclient.WebSocketTestSession
    names = [name for name in vars(session) if not name.startswith("_")]
    assert [name for name in names if not hasattr(wsframework.testing.WebSocketTestSession, name)] == []
