"""A WebSocket for a path that no route knows, on servers that can refuse with a response and on those that cannot."""

import pytest
from starlette.routing import BaseRoute, Host, Mount, Router
from trio.testing import MockClock

from tests.asgi.server import ASGIServer
from wsframework import App
from wsframework.testing import HandshakeRefused, connect


@pytest.mark.parametrize("extensions", [None, {}, {"other": {}}])
async def test_a_server_that_cannot_respond(extensions: object) -> None:
    """Without the denial response the handshake is closed, which servers answer with 403."""
    server = ASGIServer()
    server.scope["extensions"] = extensions
    await App()(server.scope, server.receive, server.send)
    assert [event["type"] for event in server.sent] == ["websocket.close"]


async def test_a_server_that_can_respond() -> None:
    """With it the answer is a whole 404 response, sent behind the connect event."""
    server = ASGIServer(can_respond=True)
    await App()(server.scope, server.receive, server.send)
    start, body = server.sent
    assert start["status"] == 404
    assert (b"content-length", b"%d" % len(body["body"])) in start["headers"]


async def test_a_client_that_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    """A client that did not wait for its 404 is no error."""
    server = ASGIServer(can_respond=True)
    server.vanish()
    await App()(server.scope, server.receive, server.send)
    assert server.sent == []
    assert caplog.records == []


@pytest.mark.parametrize(
    "route", [Mount("/", routes=[]), Mount("/", Router()), Host("testserver", Router([Mount("/", routes=[])]))]
)
async def test_routes_below_a_route(route: BaseRoute, autojump_clock: MockClock) -> None:
    """Those of Starlette that are mounted in the app answer as the app does."""
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(App(routes=[route]), "/nowhere"):
            raise AssertionError("accepted")  # pragma: no cover
    assert refused.value.status == 404
