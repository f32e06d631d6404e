"""The Starlette application, which several servers serve."""

from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

subscribers: set[WebSocket] = set()


class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_text(data)


class Fan(WebSocketEndpoint):
    """The usual loop over a set, as tutorials have it."""

    encoding = "text"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        subscribers.add(websocket)

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        for subscriber in list(subscribers):
            await subscriber.send_text(data)

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        subscribers.discard(websocket)


app = Starlette(routes=[WebSocketRoute("/echo", Echo), WebSocketRoute("/fan", Fan)])
