"""Echo, as a function. Run `wsframework run examples/echo/function.py`: text that
you send comes back.
"""

from wsframework import App, WebSocket

app = App()


@app.websocket("/")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
