"""Typed messages: a board that several people draw on, and two small services with
other kinds of types.

Run `wsframework run examples/typed/app.py`. Connect to /board and send
{"type":"line","to":[3,4]}: every client of /board gets it. Send
{"type":"line","to":[3]} and the connection is closed with 1007 and the reason.
"""

from dataclasses import dataclass
from typing import Annotated

import attrs
from msgspec import Meta, Struct

from wsframework import App, WebSocket, WebSocketEndpoint

app = App()


class Event(Struct, tag=str.lower):
    """On the wire a JSON object; its "type" is the name of the class in lower case."""


class Line(Event):
    to: tuple[int, int]
    width: Annotated[int, Meta(ge=1, le=20)] = 1


class Clear(Event):
    pass


@app.websocket("/board")
class Board(WebSocketEndpoint):
    encoding = Line | Clear

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await self.hub.subscribe(websocket, "board")

    async def on_receive(self, websocket: WebSocket, data: Line | Clear) -> None:
        match data:
            case Line(to, width):
                print(f"a line to {to}, {width} wide")
            case Clear():
                print("an empty board")
        await self.hub.broadcast("board", data)


@dataclass
class Order:
    item: str
    count: int = 1


@app.websocket("/orders")
class Orders(WebSocketEndpoint):
    encoding = Order

    async def on_receive(self, websocket: WebSocket, data: Order) -> None:
        await websocket.send_json({"ordered": data.item, "count": data.count})


@attrs.define
class Position:
    latitude: float = attrs.field(validator=attrs.validators.le(90))
    longitude: float


@app.websocket("/positions")
class Positions(WebSocketEndpoint):
    encoding = list[Position]  # anything that msgspec decodes

    async def on_receive(self, websocket: WebSocket, data: list[Position]) -> None:
        await websocket.send_json(max(data, key=lambda position: position.latitude))
