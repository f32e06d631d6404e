"""Echo: what you send comes back. Run `wsframework run examples/echo/app.py`,
then talk to the address it prints, with ws:// for http://, from any WebSocket client."""

from wsframework import App, WebSocket, WebSocketEndpoint

app = App()


@app.websocket("/")
class Echo(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))
