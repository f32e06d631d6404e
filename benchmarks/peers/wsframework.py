"""wsframework through the full WebSocketEndpoint; fan-out through the hub."""

import trio
from hypercorn.config import Config

from wsframework import App, WebSocket, WebSocketEndpoint, serve

from ._port import port
from ._tls import tls_files

app = App()


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
        await self.hub.subscribe(websocket, "fan")

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await self.hub.broadcast("fan", data)


async def main() -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{port()}"]
    config.accesslog = None
    config.certfile, config.keyfile = tls_files()
    await serve(app, config)


if __name__ == "__main__":
    trio.run(main)
