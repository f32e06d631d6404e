"""trio-websocket; fan-out is a loop over a set."""

from __future__ import annotations

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from ._port import port
from ._tls import tls_context

subscribers: set[WebSocketConnection] = set()


async def echo(websocket: WebSocketConnection) -> None:
    while True:
        await websocket.send_message(await websocket.get_message())


async def fan(websocket: WebSocketConnection) -> None:
    subscribers.add(websocket)
    try:
        while True:
            message = await websocket.get_message()
            for subscriber in list(subscribers):
                await subscriber.send_message(message)
    finally:
        subscribers.discard(websocket)


async def handle(request: WebSocketRequest) -> None:
    try:
        websocket = await request.accept()
        await (fan if request.path == "/fan" else echo)(websocket)
    except ConnectionClosed:
        pass


if __name__ == "__main__":
    # No compression, no pings and a message limit of 1 MiB is how it comes.
    trio.run(serve_websocket, handle, "127.0.0.1", port(), tls_context())
