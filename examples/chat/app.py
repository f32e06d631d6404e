"""A chat: rooms, names, a list of who is here, and everybody's messages in one order.

Run it, and open the address it prints in two windows of a browser::

    wsframework run examples/chat/app.py

Join the same room in both, and talk. Take one off the network for a moment, or close its lid: when it is back, it shows
what was said meanwhile, each message once and in its place, and to the others it never left. Stay away for longer than
messages are kept, or start the server anew: the page is back by itself, and says that something is missing.
"""

import time
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Annotated

import attrs
import trio
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from wsframework import App, CloseCode, History, Hub, Position, StandardEnvelope, WebSocket, WebSocketEndpoint

STATIC = Path(__file__).parent / "static"
BROWSER = Path(__file__).parents[1] / "browser"
MAX_NAME = 32
MAX_TEXT = 2000

# What was said is remembered, for those who were away for a moment; who is there and who is typing is not.
app = App(
    routes=[Mount("/static", StaticFiles(directory=STATIC)), Mount("/browser", StaticFiles(directory=BROWSER))],
    hub=Hub(history={"talk:*": History(size=100, ttl=600)}),
)
naming = trio.Lock()


class Event(Struct, tag=str.lower):
    """On the wire a JSON object; its "type" is the name of the class in lower case."""


class Subscribe(Event):  # what a client may send: this
    topic: str
    since: Position | None = None


class Unsubscribe(Event):  # this
    topic: str


class Say(Event):  # this
    text: str
    id: Annotated[str, Meta(max_length=64)] = ""


class Typing(Event):  # and this, which goes on to the others with its sender's name
    name: str = ""


class Welcome(Event):
    name: str
    identity: str


class Message(Event):
    name: str
    text: str
    id: str  # what its sender called it
    at: int  # milliseconds since 1970, as JavaScript counts them


class Problem(Event):
    detail: str
    id: str


@app.route("/")
async def page(request: Request) -> FileResponse:
    return FileResponse(STATIC / "index.html")


@app.websocket("/chat/{room}")
class Chat(WebSocketEndpoint):
    encoding = Subscribe | Unsubscribe | Say | Typing

    async def on_connect(self, websocket: WebSocket) -> None:
        room = websocket.path_params["room"]
        self.talk, self.people = f"talk:{room}", f"people:{room}"
        # Who shows the same key is the same person. Others see its digest, which is of no use for being that person.
        key = websocket.query_params.get("key") or token_hex()
        self.identity = sha256(key.encode()).hexdigest()[:16]
        self.name = ""
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: Subscribe | Unsubscribe | Say | Typing) -> None:
        match data:
            case Subscribe(topic) if topic == self.people:
                await self.enter(websocket)
            case Subscribe(topic, since) if topic == self.talk:
                await self.listen(websocket, since)
            case Unsubscribe(topic):
                await self.hub.unsubscribe(websocket, topic)
            case _ if not self.name:
                await websocket.close(CloseCode.POLICY_VIOLATION, "subscribe to the people before you speak")
            case Typing():
                await self.hub.broadcast(self.people, Typing(self.name), exclude=websocket)
            case Say(text, id) if 0 < len(text.strip()) <= MAX_TEXT:
                message = Message(self.name, text.strip(), id, time.time_ns() // 1_000_000)
                await self.hub.broadcast(self.talk, message)
            case Say(text, id):
                detail = f"A message has 1 to {MAX_TEXT:,} characters; this one has {len(text.strip()):,}."
                await websocket.send_json(Problem(detail, id))

    async def enter(self, websocket: WebSocket) -> None:
        """Be one of the people, with a name that nobody else here has."""
        async with naming:  # it waits for no client
            others = [person for person in await self.hub.presence(self.people) if person.identity != self.identity]
            wanted = websocket.query_params.get("name", "")
            self.name = free_name(wanted, [person.data["name"] for person in others])
            await self.hub.subscribe(
                websocket,
                self.people,
                identity=self.identity,
                presence={"name": self.name},
                presence_events=True,
                envelope=StandardEnvelope(),
            )
        await websocket.send_json(Welcome(self.name, self.identity))

    async def listen(self, websocket: WebSocket, since: Position | None) -> None:
        """Get what was said since then, or, as a newcomer, what is still remembered; and then what is said."""
        if since is None and (remembered := await self.hub.history(self.talk)):
            oldest = remembered[0].position
            since = attrs.evolve(oldest, offset=oldest.offset - 1)
        talk = await self.hub.subscribe(websocket, self.talk, since=since, envelope=StandardEnvelope())
        await websocket.send_json({"topic": self.talk, **attrs.asdict(talk.position), "recovered": talk.recovered})


def free_name(wanted: str, taken: list[str]) -> str:
    """The wanted name without what cannot be seen, not too long, and with a number when somebody here has it."""
    wanted = " ".join("".join(filter(str.isprintable, wanted)).split())[:MAX_NAME].rstrip() or "Guest"
    names = [wanted, *(f"{wanted} ({n})" for n in range(2, len(taken) + 2))]
    return next(name for name in names if name not in taken)
