"""What is refused of a request over HTTP/2, before an application sees it."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import Response

from tests.server.http.http2.serving import serving
from wsframework import App, Limits, WebSocket

FIELDS = [(":authority", "localhost"), (":scheme", "https"), (":path", "/")]


@pytest.fixture
def app() -> App:
    app = App()

    @app.route("/")
    async def page(request: Request) -> str:
        return str(len(request.headers))

    @app.websocket("/")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    @app.websocket("/refused")
    async def refused(websocket: WebSocket) -> None:
        await websocket.close()

    @app.websocket("/denied")
    async def denied(websocket: WebSocket) -> None:
        await websocket.send_denial_response(Response(status_code=418, headers={"Date": "today", "Server": "teapot"}))

    return app


@pytest.mark.parametrize(("more", "status"), [(0, "200"), (1, "431")])
async def test_too_many_fields(app: App, more: int, status: str) -> None:
    """There is one bound for both versions of HTTP, and for WebSockets; streams that keep to it go on."""
    limits = Limits(request_fields=20)
    async with serving(app, limits) as client:
        fields = [(f"x-{number}", "") for number in range(20 + more)]
        get = await client.request([(":method", "GET"), *FIELDS, *fields])
        assert await get.receive_status() == status
        websocket = await client.websocket("/", *fields[1:])  # it has one of its own, the version
        assert await websocket.receive_status() == status
        if more:
            assert await get.receive_all() == b"A request has at most 20 header fields.\n"
        assert (await client.get("/"))[0] == "200"


async def test_fields_of_a_refusal(app: App) -> None:
    """It says what would be right, and how old it is, and has nothing that HTTP/2 does not know."""
    async with serving(app) as client:
        proxied = await client.request([(":method", "CONNECT"), (":authority", "a.example:443")], end=False)
        assert await proxied.receive_status() == "405"
        assert proxied.headers["allow"] == "GET, HEAD, POST"
        old = await client.websocket("/", ("sec-websocket-version", "8"))
        assert await old.receive_status() == "426"
        assert old.headers["sec-websocket-version"] == "13"
        other = await client.websocket("/refused")
        assert await other.receive_status() == "403"
        for stream in (proxied, old, other):
            assert stream.headers["content-type"] == "text/plain; charset=utf-8"
            assert stream.headers["date"]
            assert not {"connection", "upgrade"} & stream.headers.keys()


async def test_fields_are_sent_once(app: App) -> None:
    """An application that says who it is and how old its answer is has its way."""
    async with serving(app) as client:
        websocket = await client.websocket("/denied")
        assert await websocket.receive_status() == "418"
    assert [value for name, value in websocket.fields if name in ("date", "server")] == ["today", "teapot"]


async def test_a_whole_url_as_a_path(app: App) -> None:
    """Over HTTP/2 the host has a field of its own, and a path is a path."""
    async with serving(app) as client:
        assert await (await client.websocket("https://localhost/")).receive_status() == "400"
