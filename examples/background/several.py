"""Several messages of one client at once: up to eight look-ups run, and each cleans
up when the client leaves.

Run `wsframework run examples/background/several.py`, connect a client, and send
names of hosts. An answer comes when it is found, so the answers may come in another
order than the questions.
"""

import trio

from wsframework import App, WebSocket, WebSocketEndpoint

app = App()


@app.websocket("/")
class LookUp(WebSocketEndpoint):
    encoding = "text"
    concurrency = 8

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        try:
            with trio.fail_after(5):
                found = await trio.socket.getaddrinfo(data, None)
            await websocket.send_json({"name": data, "address": found[0][4][0]})
        except (OSError, trio.TooSlowError):
            await websocket.send_json({"name": data, "address": None})
        finally:
            # Cancelled or not, this gets to run, but not to hang.
            with trio.move_on_after(1, shield=True):
                await clean_up()


async def clean_up() -> None:
    """Stands for giving something back."""
    await trio.lowlevel.checkpoint()
