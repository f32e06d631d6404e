"""WebSockets inside a FastAPI application: what is posted to it is broadcast.

Run `wsframework run examples/fastapi/app.py:api`, open /docs, connect WebSocket clients to
/live/news, and post a headline: every client gets it. /live/echo is an endpoint class
that stands among FastAPI's own routes. Needs `pip install fastapi`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import BaseModel

from wsframework import App, WebSocket, WebSocketEndpoint, WebSocketRoute

live = App()


class Headline(BaseModel):
    text: str


@live.websocket("/news")
class News(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await self.hub.subscribe(websocket, "news")


class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_text(data)


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    # A mounted application has no lifespan of its own in FastAPI, so its hub runs in this one.
    async with live.hub.running():
        yield


api = FastAPI(lifespan=lifespan)
api.router.routes.append(WebSocketRoute("/live/echo", Echo))
api.mount("/live", live)


@api.post("/headlines")
async def publish(headline: Headline) -> dict[str, int]:
    receipt = await live.hub.broadcast("news", headline.text)
    return {"delivered": receipt.delivered}
