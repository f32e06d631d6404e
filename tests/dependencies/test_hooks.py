"""Dependencies of hooks before requests, which the endpoint shares."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from trio.testing import MockClock

from wsframework import (
    App,
    Depends,
    Query,
    WebSocket,
    WebSocketEndpoint,
)
from wsframework.testing import HandshakeRefused, connect


@pytest.mark.parametrize("path", ["/class", "/function"])
async def test_dependencies_are_shared(path: str, autojump_clock: MockClock) -> None:
    """A dependency of a hook is called once for the connection, and the endpoint gets the same value."""
    log: list[str] = []
    app = App()

    async def user(token: Annotated[str, Query()]) -> AsyncIterator[str]:
        log.append("open")
        yield token
        log.append("close")

    @app.before_request(websocket=True)
    async def check(websocket: WebSocket, user: Annotated[str, Depends(user)]) -> None:
        log.append(f"hook {user}")

    @app.websocket("/function")
    async def function(websocket: WebSocket, user: Annotated[str, Depends(user)]) -> None:
        log.append(f"endpoint {user}")
        await websocket.accept()

    @app.websocket("/class")
    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket, user: str = Depends(user)) -> None:
            log.append(f"endpoint {user}")
            await websocket.accept()

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            pass

    async with connect(app, f"{path}?token=ada") as client:
        await client.close()
    assert log == ["open", "hook ada", "endpoint ada", "close"]
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, path):
            pass
    assert b"'token'" in refused.value.body


async def test_a_handshake_dependency_of_a_hook_ends_with_its_accept(autojump_clock: MockClock) -> None:
    """What yields for the handshake is given back when the hook has accepted, before the endpoint begins."""
    log: list[str] = []
    app = App()

    async def handle() -> AsyncIterator[str]:
        yield "handle"
        log.append("given back")

    @app.before_request(websocket=True)
    async def check(websocket: WebSocket, handle: str = Depends(handle, scope="handshake")) -> None:
        await websocket.accept()
        log.append("accepted")

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        log.append("endpoint")

    async with connect(app) as client:
        await client.wait_closed()
    assert log == ["given back", "accepted", "endpoint"]


async def test_a_handshake_dependency_behind_an_accept(autojump_clock: MockClock) -> None:
    """What the endpoint needs for the handshake is given back before it begins, if a hook has accepted already."""
    log: list[str] = []
    app = App()

    async def handle() -> AsyncIterator[str]:
        yield "handle"
        log.append("given back")

    @app.before_request(websocket=True)
    async def accept(websocket: WebSocket) -> None:
        await websocket.accept()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, handle: str = Depends(handle, scope="handshake")) -> None:
        log.append(f"endpoint with {handle}")

    async with connect(app) as client:
        await client.wait_closed()
    assert log == ["given back", "endpoint with handle"]
