"""The application of wsframework, which is served with different hubs."""

from typing import Any

import trio
from hypercorn.config import Config

from wsframework import App, Hub, WebSocket, WebSocketEndpoint, serve
from wsframework.cli.startup import keep_freed_memory

from ._port import port
from ._tls import tls_files


def make_app(hub: Hub | None = None, **subscription: Any) -> App:
    """Return the application, with this hub and these options for each subscription."""
    app = App(hub=hub)

    @app.websocket("/echo")
    class Echo(WebSocketEndpoint):
        encoding = "text"

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text(data)

    @app.websocket("/fan")
    class Fan(WebSocketEndpoint):
        encoding = "text"

        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "fan", **subscription)

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await self.hub.broadcast("fan", data)

    return app


def run(hub: Hub | None = None, **subscription: Any) -> None:
    """Serve until we are killed, as ``wsframework run`` would without an access log."""
    keep_freed_memory()
    config = Config()
    config.bind = [f"127.0.0.1:{port()}"]
    config.accesslog = None
    config.certfile, config.keyfile = tls_files()
    trio.run(serve, make_app(hub, **subscription), config)
