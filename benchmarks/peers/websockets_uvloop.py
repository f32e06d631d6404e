"""websockets' asyncio server on uvloop; fan-out through its broadcast()."""

import asyncio

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from ._port import port
from ._tls import tls_context

subscribers: set[ServerConnection] = set()


async def handle(websocket: ServerConnection) -> None:
    if websocket.request is not None and websocket.request.path == "/fan":
        subscribers.add(websocket)
        try:
            async for message in websocket:
                broadcast(subscribers, message)
        finally:
            subscribers.discard(websocket)
    else:
        async for message in websocket:
            await websocket.send(message)


async def main() -> None:
    async with serve(handle, "127.0.0.1", port(), ssl=tls_context(), compression=None):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
