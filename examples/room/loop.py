"""A chat room that works until one client stops reading: its messages go out in a
loop with an await in it.

Run `wsframework run examples/room/loop.py` and connect two clients: they read each
other. `frozen.py` beside this file shows what happens when a third one freezes, and
`room.py` is the program without that mistake.
"""

from wsframework import App, WebSocket, WebSocketEndpoint

app = App()
clients: list[WebSocket] = []


@app.websocket("/")
class Room(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        clients.append(websocket)

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        for client in clients:
            await client.send_text(data)  # waits for this client, and so does everybody behind it

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        clients.remove(websocket)
