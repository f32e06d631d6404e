"""websockets' Trio server; fan-out through its broadcast()."""

from functools import partial

import trio
from websockets.trio.connection import broadcast
from websockets.trio.server import ServerConnection, serve

from ._port import port
from ._tls import tls_context

subscribers: set[ServerConnection] = set()


async def handle(websocket: ServerConnection) -> None:
    if websocket.request is not None and websocket.request.path == "/fan":
        subscribers.add(websocket)
        try:
            async for message in websocket:
                await broadcast(list(subscribers), message)
        finally:
            subscribers.discard(websocket)
    else:
        async for message in websocket:
            await websocket.send(message)


if __name__ == "__main__":
    trio.run(partial(serve, handle, port(), host="127.0.0.1", ssl=tls_context(), compression=None))
