"""The server of the soak: rooms with every overflow policy, history and presence, and a view into itself.

It listens on a free port of 127.0.0.1, prints that, and serves until its standard input ends. All deadlines are short,
so that a run holds many of each.
"""

import ctypes
import gc
import os
import random
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import trio
from hypercorn.config import Config
from starlette.requests import Request

from wsframework import App, History, Hub, Limits, Overflow, Position, StandardEnvelope, WebSocket, WebSocketEndpoint
from wsframework.server import Server

from ..processes import memory_bytes

ROOMS = [f"{policy.value}:{number}" for policy in Overflow for number in range(2)]

# What is remembered of rooms and persons after they have gone.
MEMORY_SECONDS = 2.0

# What the kernel keeps for a client that does not read. By itself that grows to megabytes, and a client would have to
# stall for minutes before it is behind.
SEND_BUFFER = 16 * 1024

LIMITS = Limits(write_timeout=3, ping_interval=2, ping_timeout=3, close_timeout=1, handshake_timeout=2)
TICK = 0.02
BURST = 50


class Publisher:
    """Publishes to all rooms, evenly and at times in bursts; can be stopped, so that nothing goes on any more."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._allowed = trio.Event()

    def start(self) -> None:
        self._allowed.set()

    def stop(self) -> None:
        self._allowed = trio.Event()

    async def run(self) -> None:
        number = 0
        while True:
            await self._allowed.wait()
            await trio.sleep(TICK)
            room = random.choice(ROOMS)
            for _ in range(BURST if random.random() < 0.02 else random.randrange(5)):
                number += 1
                data = {"number": number, "text": "x" * random.randrange(20, 4000)}
                await self._hub.broadcast(room, data, key=number % 20)


hub = Hub(
    capacity=64,
    max_bytes=128 * 1024,
    block_timeout=0.5,
    history={"latest:*": None, "*": History(size=50, ttl=MEMORY_SECONDS)},
    presence_grace=MEMORY_SECONDS,
)
publisher = Publisher(hub)


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.run)
        yield
        nursery.cancel_scope.cancel()


app = App(hub=hub, lifespan=lifespan)


@app.websocket("/rooms/{policy}/{number:int}")
class Room(WebSocketEndpoint):
    """A room, a room of one's own beside it, a task, and everything that a subscription can have."""

    encoding = "json"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        query = websocket.query_params
        policy, number = Overflow(websocket.path_params["policy"]), websocket.path_params["number"]
        self.room = f"{policy.value}:{number}"
        self.start_soon(trio.sleep_forever)
        await self.hub.subscribe(websocket, f"own:{id(self)}", presence={})
        await self.hub.subscribe(
            websocket,
            self.room,
            overflow=policy,
            envelope=StandardEnvelope(),
            since=Position.parse(query["since"]) if "since" in query else None,
            presence={"number": number},
            presence_events="events" in query,
            identity=query.get("identity"),
        )

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await self.hub.broadcast(self.room, data, key=data["key"])

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        await self.hub.broadcast(self.room, {"left": close_code})


for _room in ROOMS:
    app.event_stream(f"/events/{_room}", _room, overflow=Overflow.DROP_OLDEST)


@app.route("/start")
async def start(request: Request) -> str:
    publisher.start()
    return "started"


@app.route("/stop")
async def stop(request: Request) -> str:
    publisher.stop()
    return "stopped"


@app.route("/state")
async def state(request: Request) -> dict[str, Any]:
    """Everything that a client may leave behind. With ``?exact`` after a collection of garbage."""
    if "exact" in request.query_params:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # else freed memory counts as used for as long as the allocator keeps it
    hub_statistics = attrs.asdict(hub.statistics(), filter=lambda attribute, _: attribute.name != "dropped_by")
    server_statistics = server.statistics()
    return {
        **hub_statistics,
        "dropped_by": {policy.value: count for policy, count in hub.statistics().dropped_by.items()},
        "present": sum([len(await hub.presence(room)) for room in ROOMS]),
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "sockets": server_statistics.open,
        "websockets": server_statistics.websockets,
        "accepted": server_statistics.accepted,
        "closed": {str(code): count for code, count in sorted(server_statistics.closed.items())},
        "descriptors": len(os.listdir("/proc/self/fd")),
        "objects": sys.getallocatedblocks(),
        "memory": memory_bytes(os.getpid()),
    }


def listen() -> socket.socket:
    """Open the socket; the connections that come from it inherit its buffer's size."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    sock.bind(("127.0.0.1", 0))
    return sock


def make_server(sock: socket.socket) -> Server:
    config = Config()
    config.bind = [f"fd://{sock.fileno()}"]
    return Server(app, config, limits=LIMITS)


async def main(sock: socket.socket, server: Server) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(server.run))
        print(sock.getsockname()[1], flush=True)
        await trio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    _socket = listen()
    server = make_server(_socket)
    trio.run(main, _socket, server)
