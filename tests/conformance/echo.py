"""The echo server for the Autobahn test suite, run by hand: ``python tests/conformance/echo.py [production]``.

Section 9 sends messages of up to 16 MiB, so the limits are wider than those of a server that is meant for people, and
everything is compressed, with context takeover, wherever the client offers it. ``production`` has the defaults instead:
compression with its usual options, and messages beyond 1 MiB are refused with 1009.
"""

from __future__ import annotations

import sys

import trio
from hypercorn.config import Config

from wsframework import App, Deflate, Limits, WebSocket, WebSocketEndpoint, serve

EVERYTHING = Deflate(window_bits=15, memory_level=9, context_takeover=True, threshold=0)
WIDE = Limits(message=16 * 1024 * 1024, fragments=1_000_000, inbox_bytes=64 * 1024 * 1024)


class Echo(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))


async def main(production: bool) -> None:
    app = App(compression="deflate" if production else EVERYTHING)
    app.websocket("/")(Echo)
    config = Config()
    config.bind = ["127.0.0.1:0"]
    async with trio.open_nursery() as nursery:

        async def serve_echo(task_status: trio.TaskStatus[list[str]]) -> None:
            await serve(app, config, limits=Limits() if production else WIDE, task_status=task_status)

        [url] = await nursery.start(serve_echo)
        print(url.replace("http", "ws"), flush=True)


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1:] == ["production"])
    except KeyboardInterrupt:
        pass
