"""A chat: rooms, names, a list of who is here, and everybody's messages in one order.

Run it, and open the address it prints in two windows of a browser::

    wsframework run examples/chat/app.py

Join the same room in both, and talk. Close one: the other sees it leave. Stop the server: the page says that the
connection is lost and keeps trying; start it again, and both windows are back by themselves. The room is part of the
page's address, so sending somebody the address invites them.
"""

import time
from pathlib import Path

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from wsframework import App, WebSocket, WebSocketEndpoint

STATIC = Path(__file__).parent / "static"
MAX_NAME = 32
MAX_TEXT = 2000

app = App(routes=[Mount("/static", StaticFiles(directory=STATIC))])
rooms: dict[str, list[str]] = {}  # who is in each room, in the order they came; an empty room is forgotten


class Event(Struct, tag=str.lower):
    """On the wire a JSON object; its "type" is the name of the class in lower case."""


class Say(Event):  # what a client may send: this
    text: str


class Typing(Event):  # and this, which goes on to the others with its sender's name
    name: str = ""


class Welcome(Event):
    you: str
    room: str
    people: list[str]


class Joined(Event):
    name: str
    people: list[str]


class Left(Event):
    name: str
    people: list[str]


class Message(Event):
    name: str
    text: str
    at: int  # milliseconds since 1970, as JavaScript counts them


class Problem(Event):
    detail: str


@app.route("/")
async def page(request: Request) -> FileResponse:
    return FileResponse(STATIC / "index.html")


@app.websocket("/chat/{room}")
class Chat(WebSocketEndpoint):
    encoding = Say | Typing

    async def on_connect(self, websocket: WebSocket) -> None:
        self.room = websocket.path_params["room"]
        self.people = rooms.setdefault(self.room, [])
        self.name = free_name(websocket.query_params.get("name", ""), self.people)
        self.people.append(self.name)
        await websocket.accept()
        await websocket.send_json(Welcome(self.name, self.room, self.people))
        await self.hub.subscribe(websocket, self.room)
        # It goes to the newcomer too, with whatever changed between its welcome and its subscription.
        await self.hub.broadcast(self.room, Joined(self.name, self.people))

    async def on_receive(self, websocket: WebSocket, data: Say | Typing) -> None:
        match data:
            case Typing():
                await self.hub.broadcast(self.room, Typing(self.name), exclude=websocket)
            case Say(text) if 0 < len(text.strip()) <= MAX_TEXT:
                await self.hub.broadcast(self.room, Message(self.name, text.strip(), time.time_ns() // 1_000_000))
            case Say(text):
                detail = f"A message has 1 to {MAX_TEXT:,} characters; this one has {len(text.strip()):,}."
                await websocket.send_json(Problem(detail))

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        self.people.remove(self.name)
        if not self.people:
            del rooms[self.room]
        await self.hub.broadcast(self.room, Left(self.name, self.people))


def free_name(wanted: str, taken: list[str]) -> str:
    """The wanted name without what cannot be seen, not too long, and with a number when somebody here has it."""
    wanted = " ".join("".join(filter(str.isprintable, wanted)).split())[:MAX_NAME].rstrip() or "Guest"
    names = [wanted, *(f"{wanted} ({n})" for n in range(2, len(taken) + 2))]
    return next(name for name in names if name not in taken)
