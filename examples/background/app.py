"""Tasks beside the hooks: a stopwatch that ticks for each client, as a class and as
a function.

Run `wsframework run examples/background/app.py`. Connect to /stopwatch: a number
comes every second, and whatever you send starts it anew. /countdown?from=3 counts
down and then closes the connection.
"""

import trio

from wsframework import App, CloseCode, WebSocket, WebSocketEndpoint

app = App()


@app.websocket("/stopwatch")
class Stopwatch(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self.seconds = 0
        self.start_soon(self.tick, websocket)

    async def tick(self, websocket: WebSocket) -> None:
        while True:
            await websocket.send_text(str(self.seconds))
            await trio.sleep(1)
            self.seconds += 1

    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        self.seconds = 0


@app.websocket("/countdown")
async def countdown(websocket: WebSocket) -> None:
    await websocket.accept()
    websocket.start_soon(count_down, websocket, int(websocket.query_params.get("from", "10")))
    async for text in websocket.iter_text():
        await websocket.send_text(f"Not now: {text}")


async def count_down(websocket: WebSocket, seconds: int) -> None:
    for left in range(seconds, 0, -1):
        await websocket.send_text(str(left))
        await trio.sleep(1)
    await websocket.close(CloseCode.NORMAL_CLOSURE, "lift-off")
