"""The HTTP side of an app: functions that answer, Starlette's routes, and what is not found."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from trio.testing import MockClock

from wsframework import App, WebSocket
from wsframework.testing import connect


@asynccontextmanager
async def browse(app: App, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, **options)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("result", "content_type", "body"),
    [
        ("hello, wörld", "text/plain; charset=utf-8", "hello, wörld".encode()),
        ("", "text/plain; charset=utf-8", b""),
        ({"a": [1, None]}, "application/json", b'{"a":[1,null]}'),
        ({}, "application/json", b"{}"),
        ([1, 2], "application/json", b"[1,2]"),
        (Point(1), "application/json", b'{"x":1}'),
        (HTMLResponse("<p>"), "text/html; charset=utf-8", b"<p>"),
        (JSONResponse({}, status_code=201), "application/json", b"{}"),
    ],
)
async def test_results(result: Any, content_type: str, body: bytes) -> None:
    """A string is plain text, a response is itself, the rest is JSON; from async functions and from others."""
    app = App()

    @app.route("/async")
    async def answer(request: Request) -> Any:
        return result

    @app.route("/sync")
    def answer_in_a_thread(request: Request) -> Any:
        return result

    async with browse(app) as client:
        for path in ("/async", "/sync"):
            response = await client.get(path)
            assert response.status_code == (201 if isinstance(result, JSONResponse) else 200)
            assert response.headers["content-type"] == content_type
            assert response.content == body


async def test_the_request() -> None:
    """The function gets Starlette's Request, with the app, its parameters and its body."""
    app = App()

    @app.route("/rooms/{room:int}", methods=["POST"])
    async def post(request: Request) -> Any:
        assert request.app is app
        return [request.path_params["room"], request.query_params["q"], await request.json()]

    async with browse(app) as client:
        response = await client.post("/rooms/7?q=x", json={"a": 1})
        assert response.json() == [7, "x", {"a": 1}]


async def test_the_decorator_leaves_the_function() -> None:
    """A decorated function can still be called, and route(..., websocket=True) is the same as websocket(...)."""
    app = App()

    @app.route("/")
    async def page(request: Request) -> str:
        return "hello"

    @app.route("/ws", websocket=True, name="echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()

    assert await page(None) == "hello"  # type: ignore[arg-type]
    assert [route.name for route in app.routes] == ["page", "echo"]  # type: ignore[attr-defined]
    async with connect(app, "/ws"):
        pass


async def test_a_wrong_method() -> None:
    """A path with another method is 405 and says which are allowed; HEAD comes with GET."""
    app = App()

    @app.route("/")
    async def page(request: Request) -> str:
        return "hello"

    async with browse(app) as client:
        response = await client.post("/")
        assert response.status_code == 405
        assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}
        response = await client.head("/")
        assert (response.status_code, response.content) == (200, b"")


async def test_unknown_paths() -> None:
    """404, also for the path of a WebSocket that is asked for by plain HTTP."""
    app = App()

    @app.websocket("/ws")
    async def echo(websocket: WebSocket) -> None:
        raise AssertionError("not reached")

    async with browse(app) as client:
        for path in ("/", "/ws", "/ws/"):
            response = await client.get(path)
            assert (response.status_code, response.text) == (404, "Not Found")


async def test_an_http_exception() -> None:
    """Starlette's HTTPException is answered as it says."""
    app = App()

    @app.route("/")
    async def page(request: Request) -> str:
        raise HTTPException(418, "I am a teapot")

    async with browse(app) as client:
        response = await client.get("/")
        assert (response.status_code, response.text) == (418, "I am a teapot")


@pytest.mark.parametrize("debug", [False, True])
async def test_an_error(debug: bool) -> None:
    """An error is HTTP 500; its traceback is shown with debug=True only."""
    app = App(debug=debug)

    @app.route("/")
    async def page(request: Request) -> str:
        raise ZeroDivisionError("secret")

    async with browse(app, raise_app_exceptions=False) as client:
        response = await client.get("/")
        assert response.status_code == 500
        assert ("secret" in response.text) is debug


async def test_a_client_that_leaves_in_its_request() -> None:
    """A request that breaks off while it is read is not an error of the app."""
    app = App()
    begun = 0

    @app.route("/", methods=["POST"])
    async def post(request: Request) -> str:
        nonlocal begun
        begun += 1
        return (await request.body()).decode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        """Nobody is there to get it."""

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    assert begun == 1


async def test_starlettes_routes(tmp_path: Path) -> None:
    """Route, Mount and StaticFiles stand in routes beside ours."""
    (tmp_path / "page.css").write_text("p { color: red }")

    async def page(request: Request) -> Response:
        return Response("page")

    app = App(
        routes=[
            Route("/page", page),
            Mount("/static", StaticFiles(directory=tmp_path)),
            Mount("/below", routes=[Route("/page", page)]),
        ]
    )
    async with browse(app) as client:
        assert (await client.get("/page")).text == "page"
        assert (await client.get("/below/page")).text == "page"
        assert (await client.get("/static/page.css")).text == "p { color: red }"
        for path in ("/static/nope", "/below/nope"):
            assert (await client.get(path)).status_code == 404


async def test_websockets_pass_static_files(tmp_path: Path, autojump_clock: MockClock) -> None:
    """StaticFiles, which cannot serve WebSockets, does not stand in their way, not even at the root."""

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()

    (tmp_path / "index.html").write_text("index")
    app = App(routes=[Mount("/", StaticFiles(directory=tmp_path, html=True))])
    app.websocket("/ws")(echo)
    async with connect(app, "/ws"):
        pass
    async with browse(app) as client:
        assert (await client.get("/")).text == "index"


async def test_mount() -> None:
    """app.mount serves another ASGI application below a path."""
    inner, app = App(), App()

    @inner.route("/page")
    async def page(request: Request) -> str:
        return f"{request.scope['root_path']} of {request.app is inner}"

    app.mount("/inner", inner, name="inner")
    async with browse(app) as client:
        assert (await client.get("/inner/page")).text == "/inner of True"
        assert (await client.get("/inner/nope")).status_code == 404


async def test_a_function_in_a_thread_does_not_hold_the_loop() -> None:
    """A function that is not async runs in a thread, so that WebSockets go on beside it."""
    app = App()

    @app.route("/")
    def page(request: Request) -> str:
        trio.from_thread.run_sync(running.set)
        trio.from_thread.run(done.wait)
        return "done"

    running, done = trio.Event(), trio.Event()

    async def ask(get: Callable[[str], Any]) -> None:
        assert (await get("/")).text == "done"

    async with browse(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(ask, client.get)
        await running.wait()
        done.set()
