"""Fixtures of tests of HTTP/2."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from starlette.requests import Request

from tests.net.http2.site import Site, Watched
from tests.net.servers import (
    run_server,
    write_certificate,
)
from wsframework import App, Limits, WebSocket
from wsframework.server import reactor


@pytest.fixture
def endpoint() -> type[Watched]:
    class Fresh(Watched):
        gone = []  # noqa: RUF012 - a class for each test
        scopes = []  # noqa: RUF012

    return Fresh


@pytest.fixture
def app(endpoint: type[Watched]) -> App:
    app = App()
    app.websocket("/")(endpoint)

    @app.websocket("/refused")
    async def refused(websocket: WebSocket) -> None:
        await websocket.close()

    @app.websocket("/busy")
    async def busy(websocket: WebSocket) -> None:
        await websocket.accept()
        await trio.sleep_forever()

    @app.websocket("/broken")
    async def broken(websocket: WebSocket) -> None:
        await websocket.accept()
        raise LookupError("the secret of the house")

    @app.route("/")
    async def index(request: Request) -> str:
        return "a front page"

    @app.route("/answer-early", methods=["POST"])
    async def answer_early(request: Request) -> str:
        return "I do not want to read all of that"

    return app


@pytest.fixture(params=["reactor tls", "portable tls", "reactor plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ways that HTTP/2 can come: agreed on in TLS, or with prior knowledge."""
    if request.param.startswith("reactor") and not reactor.AVAILABLE:
        pytest.skip("there is no epoll on this system")
    monkeypatch.setattr(reactor, "AVAILABLE", request.param.startswith("reactor"))
    return str(request.param)


@pytest.fixture
def serve(way: str, app: App, tmp_path: Path) -> Any:
    """A function that serves the application the given way."""

    @asynccontextmanager
    async def serve(limits: Limits | None = None, **options: Any) -> AsyncIterator[Site]:
        authority = None
        if way.endswith("tls"):
            authority = trustme.CA()
            options["certfile"], options["keyfile"] = write_certificate(authority, tmp_path)
        async with run_server(app, limits, **options) as server:
            yield Site(server, authority)

    return serve
