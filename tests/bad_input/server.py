"""The server that is attacked, in a process of its own: ``python -m tests.bad_input.server OPTIONS``.

The options are JSON: limits, and a folder of static files. The first line that it prints is its URL. From then on it
answers each line that it reads with one line of JSON: what it has counted, used and logged since the line before. The
line "release" has endpoints go on that wait for it. It ends with its standard input.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import trio
from hypercorn.config import Config
from starlette.requests import Request
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from wsframework import (
    App,
    CloseCode,
    Deflate,
    Limits,
    WebSocket,
    WebSocketDisconnect,
    WebSocketEndpoint,
    WebSocketRoute,
)
from wsframework.server import Server

NOTES: list[str] = []  # what endpoints have seen
WAITING = trio.lowlevel.ParkingLot()  # endpoints that wait for a word of the tests


class Log(logging.Handler):
    """Keeps every record."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(
            {
                "level": record.levelno,
                "text": f"{record.levelname} {record.name}: {record.getMessage()}",
                "error": repr(record.exc_info[1]) if record.exc_info else None,
            }
        )


class Echo(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        NOTES.append(f"disconnect {close_code}")


class Sink(WebSocketEndpoint):
    """Takes everything, and at the word says how much it was."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.messages = self.size = 0

    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        if data == "how much?":
            await websocket.send_text(f"{self.messages} {self.size}")
        else:
            self.messages += 1
            self.size += len(data)


class Raises(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        raise LookupError("the password is swordfish")


class Hangs(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        await trio.sleep_forever()


class Swallows(WebSocketEndpoint):
    """Goes on for a while when it is cancelled."""

    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.2)


class CancelsItself(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await websocket.receive_text()
        await websocket.send_text("still here")


class AcceptsLate(Echo):
    """Accepts when a test gives the word for it, and when what clients did before that has been looked at."""

    async def on_connect(self, websocket: WebSocket) -> None:
        NOTES.append("not yet")
        await WAITING.park()
        await trio.sleep(0.05)
        await websocket.accept()


class Refuses(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket) -> None:
        await trio.sleep(0.02)
        await websocket.close()


class Talks(WebSocketEndpoint):
    """Sends for ever, without looking whether anybody is there."""

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        sent = 0
        try:
            while True:
                await websocket.send_text("are you there?")
                sent += 1
        except WebSocketDisconnect as end:
            NOTES.append(f"told of {end.code}")
            raise


class Remembers(WebSocketEndpoint):
    """Leaves its first word in everything that might be shared, and answers with what it finds there."""

    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        word = str(data)
        if not hasattr(websocket.state, "word"):
            websocket.state.word = word
            websocket.scope["word"] = word
            websocket.scope["headers"].append((b"x-word", word.encode()))
        headers = [value.decode() for name, value in websocket.scope["headers"] if name == b"x-word"]
        await websocket.send_json([websocket.state.word, websocket.scope["word"], headers])


# What an application may get wrong in an answer; each must be refused to the application.
ANSWERS: dict[str, dict[str, Any]] = {
    "line-end-in-header": {"headers": [(b"x-name", b"a\r\nset-cookie: b")]},
    "line-end-in-name": {"headers": [(b"x\r\nname", b"a")]},
    "nul-in-header": {"headers": [(b"x-name", b"a\0b")]},
    "cookie": {"headers": [(b"set-cookie", b"a=b; path=/\r\nx: y")]},
    "our-header": {"headers": [(b"sec-websocket-accept", b"forged")]},
    "subprotocol-line-end": {"subprotocol": "chat\r\nx: y"},
    "subprotocol-not-ascii": {"subprotocol": "ch\u00e4t"},
    "subprotocol-not-offered": {"subprotocol": "other"},
}
# And in a close.
ENDS: dict[str, tuple[Any, Any]] = {
    "long-reason": (1000, "x" * 200),
    "long-reason-of-characters": (1000, "\U0001f600" * 40),
    "reason-is-no-text": (1000, bytearray(4)),
    "code-1005": (1005, ""),
    "code-1006": (1006, ""),
    "code-999": (999, ""),
    "code-65536": (65536, ""),
}


class Answers(WebSocketEndpoint):
    """Accepts, or refuses, with what the path names; notes what it is told of that."""

    async def on_connect(self, websocket: WebSocket) -> None:
        try:
            await websocket.accept(**ANSWERS[websocket.path_params["what"]])
        except ValueError as error:
            NOTES.append(f"ValueError: {error}")
            await websocket.close()


class RefusesWith(WebSocketEndpoint):
    """Refuses with a response of its own that must not travel."""

    async def on_connect(self, websocket: WebSocket) -> None:
        headers = [(b"x-reason", b"no\r\nset-cookie: b")]
        try:
            await websocket.send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
        except ValueError as error:
            NOTES.append(f"ValueError: {error}")
            await websocket.close()


class Ends(WebSocketEndpoint):
    """Closes with what the path names; notes what it is told of that, and closes in a better way."""

    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        code, reason = ENDS[websocket.path_params["how"]]
        try:
            await websocket.close(code, reason)
        except (ValueError, TypeError) as error:
            NOTES.append(f"{type(error).__name__}: {error}")
            await websocket.close(CloseCode.NORMAL_CLOSURE)


async def foreign(scope: Any, receive: Any, send: Any) -> None:
    """An application that knows nothing of us, and lets everybody in."""
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


def make_app(static: str) -> App:
    app = App(
        routes=[
            WebSocketRoute("/echo", Echo),
            WebSocketRoute("/sink", Sink),
            WebSocketRoute("/raise", Raises),
            WebSocketRoute("/hang", Hangs),
            WebSocketRoute("/swallow", Swallows),
            WebSocketRoute("/cancel", CancelsItself),
            WebSocketRoute("/late", AcceptsLate),
            WebSocketRoute("/refuse", Refuses),
            WebSocketRoute("/talk", Talks),
            WebSocketRoute("/remember", Remembers),
            WebSocketRoute("/answer/{what}", Answers),
            WebSocketRoute("/refuse-with", RefusesWith),
            WebSocketRoute("/end/{how}", Ends),
            WebSocketRoute("/deflate/echo", Echo, compression="deflate"),
            WebSocketRoute("/deflate/sink", Sink, compression="deflate"),
            WebSocketRoute("/deflate/hang", Hangs, compression="deflate"),
            WebSocketRoute("/takeover/echo", Echo, compression=Deflate(context_takeover=True, window_bits=15)),
            WebSocketRoute("/good.com/echo", Echo, allowed_origins=["https://good.com"]),
            Mount("/mounted", routes=[WebSocketRoute("/echo", Echo)]),
            Mount("/foreign", app=foreign),
            Mount("/static", StaticFiles(directory=static)),
        ]
    )

    @app.route("/path", methods=["GET", "POST"])
    async def path(request: Request) -> str:
        return f"{request.method} {request.url.path} {len(await request.body())}"

    return app


# What the tests ask


def memory() -> tuple[int, int]:
    """Bytes that this process has now, and that it has had at most since `forget_peak`."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return tuple(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def describe(server: Server, log: Log) -> str:
    """Everything since the last call, as a line of JSON."""
    statistics = server.statistics()
    now, peak = memory()
    answer = {
        "open": statistics.open,
        "accepted": statistics.accepted,
        "http": statistics.http,
        "lost": statistics.lost,
        "refused": dict(statistics.refused),
        "closed": dict(statistics.closed),
        "cpu": time.process_time(),
        "memory": now,
        "peak": peak,
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "files": len(os.listdir("/proc/self/fd")),
        "log": log.lines,
        "notes": list(NOTES),
    }
    log.lines = []
    NOTES.clear()
    forget_peak()
    return json.dumps(answer)


async def main(options: dict[str, Any]) -> None:
    log = Log()
    logging.basicConfig(level=logging.INFO, handlers=[log])
    logging.captureWarnings(True)
    config = Config()
    config.bind = ["127.0.0.1:0"]
    server = Server(make_app(options["static"]), config, limits=Limits(**options["limits"]))
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(server.run)
        print(urls[0], flush=True)
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            if line == "release\n":
                WAITING.unpark_all()
            print(describe(server, log), flush=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(partial(main, json.loads(sys.argv[1])))
