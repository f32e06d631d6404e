"""What is refused of a request over HTTP/2, before an application sees it."""

from __future__ import annotations

import pytest
from starlette.requests import Request

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
