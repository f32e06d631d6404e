"""A board for several people: notes that all of them move and write, everybody's cursor, and who is here.

Run it, and open the address that it prints in two browsers, or once in a private window::

    wsframework run examples/collaboration/app.py

Each sees the other's cursor, and which note the other has chosen. Two tabs of one browser are one person, and a reload
is no leave and join. Take one off the network, go on writing there, and let it back: both boards become the same again.
"""

from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Annotated
from urllib.parse import unquote

import attrs
from msgspec import Meta, Struct, structs
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from wsframework import (
    App,
    CloseCode,
    Cookie,
    History,
    Hub,
    Overflow,
    Position,
    StandardEnvelope,
    Subscription,
    WebSocket,
    WebSocketEndpoint,
)

STATIC = Path(__file__).parent / "static"
BROWSER = Path(__file__).parents[1] / "browser"
ANIMALS = [
    "Badger",
    "Beaver",
    "Crane",
    "Dolphin",
    "Falcon",
    "Heron",
    "Ibex",
    "Lynx",
    "Marten",
    "Otter",
    "Raven",
    "Stoat",
]
MAX_NOTES = 100

# The board is remembered for those who resume, and the newest place of each cursor for those who come.
app = App(
    routes=[Mount("/static", StaticFiles(directory=STATIC)), Mount("/browser", StaticFiles(directory=BROWSER))],
    hub=Hub(history={"board": History(size=500), "cursors": History(size=100, ttl=60)}),
)

Coordinate = Annotated[float, Meta(ge=0, le=2000)]
Name = Annotated[str, Meta(max_length=32)]


class Event(Struct, tag=str.lower):
    """On the wire a JSON object; its "type" is the name of the class in lower case."""


class Subscribe(Event):
    topic: str
    since: Position | None = None


class Put(Event):  # a note, new or changed
    id: Name
    by: Name  # the page that has done it, which so recognizes what it has said itself
    x: Coordinate
    y: Coordinate
    text: Annotated[str, Meta(max_length=500)]


class Remove(Event):
    id: Name
    by: Name


class Point(Event):  # where the cursor is; nowhere if it has left the board
    x: Coordinate | None
    y: Coordinate | None


class Choose(Event):
    note: Name | None


class Rename(Event):
    name: Name


class Welcome(Event):
    identity: str


class State(Event):
    notes: list[Put]


class Person(Struct):
    name: str
    hue: int
    note: str | None = None  # that this person has chosen


notes: dict[str, Put] = {}


@app.route("/")
async def page(request: Request) -> FileResponse:
    response = FileResponse(STATIC / "index.html")
    if "board" not in request.cookies:
        response.set_cookie("board", token_hex(), httponly=True, samesite="strict")
    return response


@app.websocket("/live")
class Board(WebSocketEndpoint):
    encoding = Subscribe | Put | Remove | Point | Choose | Rename
    board: Subscription | None = None

    async def on_connect(
        self, websocket: WebSocket, board: Annotated[str, Cookie()], name: Annotated[str, Cookie()] = ""
    ) -> None:
        # Who shows the same cookie is the same person. Others see its digest, with which nobody can be that person.
        self.identity = sha256(board.encode()).hexdigest()[:8]
        number = int(self.identity, 16)
        self.person = Person(tidy(unquote(name)) or ANIMALS[number % len(ANIMALS)], hue=number % 360)
        await websocket.accept()
        await websocket.send_json(Welcome(self.identity))

    async def on_receive(self, websocket: WebSocket, data: Subscribe | Put | Remove | Point | Choose | Rename) -> None:
        match data:
            case Subscribe("board", since):
                await self.join(websocket, since)
            case Subscribe("cursors"):
                await self.hub.subscribe(
                    websocket, "cursors", overflow=Overflow.LATEST, latest=True, envelope=StandardEnvelope()
                )
            # Nothing may come between a change and its publication, so that the last one published is what stays.
            case Put(id) if id in notes or len(notes) < MAX_NOTES:
                notes[id] = data
                self.hub.broadcast_nowait("board", data)
            case Remove(id):
                notes.pop(id, None)
                self.hub.broadcast_nowait("board", data)
            case Point(x, y):
                cursor = {"identity": self.identity, "x": x, "y": y}
                await self.hub.broadcast("cursors", cursor, key=self.identity, exclude=websocket)
            case Choose(note):
                self.say(structs.replace(self.person, note=note))
            case Rename(name):
                self.say(structs.replace(self.person, name=tidy(name) or self.person.name))
            case _:
                await websocket.close(CloseCode.POLICY_VIOLATION, "there is no such topic, or no room for more notes")

    async def join(self, websocket: WebSocket, since: Position | None) -> None:
        self.board = await self.hub.subscribe(
            websocket,
            "board",
            since=since,
            identity=self.identity,
            presence=self.person,
            presence_events=True,
            envelope=StandardEnvelope(),
        )
        if not self.board.recovered:
            await websocket.send_json(State(list(notes.values())))
        position = attrs.asdict(self.board.position)
        await websocket.send_json({"topic": "board", **position, "recovered": self.board.recovered})

    def say(self, person: Person) -> None:
        """Have everybody know this of the person."""
        self.person = person
        if self.board is not None:
            self.board.presence = person


def tidy(name: str) -> str:
    """A name without what cannot be seen, and not too long."""
    return " ".join("".join(filter(str.isprintable, name)).split())[:32].rstrip()
