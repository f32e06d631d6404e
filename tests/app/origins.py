"""What the tests of Origin share: scopes of handshakes, endpoints that note that they ran, and refusals."""

from collections.abc import Iterable
from typing import Any

import pytest

from wsframework import WebSocket, WebSocketEndpoint
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


async def guarded(websocket: WebSocket) -> None:
    Guarded.ran.append("function")
    await websocket.accept()


async def refusal(app: Any, path: str, origin: str) -> int:
    """The status of the answer to a page of this origin."""
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, path, headers={"origin": origin}):
            pass
    return refused.value.status


def infos(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "wsframework"]
