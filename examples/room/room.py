"""A chat room in which nobody waits for a client that has stopped reading: the hub
sends the messages.

Run `wsframework run examples/room/room.py` and connect two clients: they read each
other. `frozen.py` beside this file shows what happens when a third one freezes.
"""

from wsframework import App, WebSocket, WebSocketEndpoint

app = App()


@app.websocket("/")
class Room(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await self.hub.subscribe(websocket, "room")

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await self.hub.broadcast("room", data)
