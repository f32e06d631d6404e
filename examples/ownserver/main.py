"""A Trio program that serves WebSockets among other things: here, a task that tells
all clients the time.

Run `python examples/ownserver/main.py` and connect to the address that it prints:
the time comes every second. Another place to listen is an argument: `python
examples/ownserver/main.py unix:/tmp/clock.sock`.
"""

import sys
import time
from functools import partial

import trio
from hypercorn.config import Config

from wsframework import App, Limits, WebSocket, WebSocketEndpoint, serve

app = App()


@app.websocket("/")
class Clock(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await self.hub.subscribe(websocket, "time")


async def tell_time() -> None:
    while True:
        await app.hub.broadcast("time", time.strftime("%H:%M:%S"))
        await trio.sleep(1)


async def main() -> None:
    config = Config()
    config.bind = sys.argv[1:] or ["127.0.0.1:8000"]
    limits = Limits(message=64 * 1024, ping_interval=10)
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(partial(serve, app, config, limits=limits))
        print("the time is served on", *urls, flush=True)
        nursery.start_soon(tell_time)


if __name__ == "__main__":
    try:
        trio.run(main)
    except* KeyboardInterrupt:
        print("stopped")
