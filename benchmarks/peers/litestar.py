"""Litestar on uvicorn with uvloop; fan-out through its channels plugin."""

from litestar import Litestar, WebSocket, websocket
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.exceptions import WebSocketDisconnect

from ._uvicorn import run


@websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass


@websocket("/fan")
async def fan(socket: WebSocket, channels: ChannelsPlugin) -> None:
    await socket.accept()
    try:
        async with channels.start_subscription("fan") as subscriber, subscriber.run_in_background(socket.send_text):
            while True:
                channels.publish(await socket.receive_text(), "fan")
    except WebSocketDisconnect:
        pass


app = Litestar(
    [echo, fan],
    # What waits for a subscriber is not bounded, which is how the plugin comes.
    plugins=[ChannelsPlugin(backend=MemoryChannelsBackend(), channels=["fan"])],
)

if __name__ == "__main__":
    run(app, "websockets")
