"""Fixtures of tests of HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from tests.net.http.site import Task, serving
from wsframework import App, WebSocket
from wsframework.server import reactor


@pytest.fixture(params=["reactor", "portable", "tls"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The three ways that a connection can reach the hand-off."""
    if request.param == "reactor" and not reactor.AVAILABLE:
        pytest.skip("there is no epoll on this system")
    monkeypatch.setattr(reactor, "AVAILABLE", request.param == "reactor")
    return str(request.param)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def task() -> Task:
    return Task()


@pytest.fixture
def app(tmp_path: Path, task: Task) -> App:
    files = tmp_path / "files"
    files.mkdir()
    (files / "page.html").write_text("<p>a page</p>")
    (tmp_path / "secret").write_text("the secret of the house")

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[dict[str, str]]:
        yield {"word": "state"}

    app = App(routes=[Mount("/files", StaticFiles(directory=files))], lifespan=lifespan)

    @app.route("/")
    async def index(request: Request) -> str:
        return "a front page"

    @app.route("/value/{number:int}")
    def value(request: Request) -> dict[str, Any]:
        return {"number": request.path_params["number"], "query": dict(request.query_params)}

    @app.route("/post", methods=["POST"])
    async def post(request: Request) -> str:
        return f"{len(await request.body())} bytes"

    @app.route("/state")
    async def state(request: Request) -> dict[str, Any]:
        client = request.client
        return {"state": request.state.word, "scheme": request.url.scheme, "host": client.host if client else None}

    @app.route("/work")
    async def work(request: Request) -> PlainTextResponse:
        return PlainTextResponse("begun", background=BackgroundTask(task.run))

    @app.route("/broken")
    async def broken(request: Request) -> str:
        raise LookupError("the secret of the house")

    @app.route("/broken-later")
    async def broken_later(request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"a beginning"
            raise LookupError("the secret of the house")

        return StreamingResponse(parts())

    @app.websocket("/")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    return app


@pytest.fixture
def site(way: str, app: App, authority: trustme.CA, tmp_path: Path) -> Any:
    """A function that serves the application the given way."""

    def site(**options: Any) -> Any:
        return serving(way, app, authority, tmp_path, **options)

    return site
