"""A chat with rooms and names.

Run `wsframework run examples/room/rooms.py` and connect two clients to
/kitchen?name=Ada and /kitchen?name=Bob. They read each other, and who comes and
goes. A client in /garden does not.
"""

from wsframework import App, WebSocket, WebSocketEndpoint

app = App()


@app.websocket("/{room}")
class Room(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, websocket: WebSocket) -> None:
        self.room = websocket.path_params["room"]
        self.name = websocket.query_params.get("name", "Guest")
        await websocket.accept()
        await self.hub.subscribe(websocket, self.room)
        await self.hub.broadcast(self.room, f"{self.name} is here.")

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await self.hub.broadcast(self.room, f"{self.name}: {data}")

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        await self.hub.broadcast(self.room, f"{self.name} has left.")
