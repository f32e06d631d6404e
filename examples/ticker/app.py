"""Prices on a chart that stays live on a slow link: what a client cannot take is replaced by what is newer.

Run it, and open the address it prints::

    wsframework run examples/ticker/app.py

Six prices change fifty times a second, and the page shows all of them. Now put a slow link in between, and open the
address that this prints too::

    python examples/ticker/slow.py

There the prices move in larger steps, and the page counts those that it never got; but what it shows is new. The
server keeps one price of each kind for it, and not the backlog: /statistics has the numbers.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import trio
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from wsframework import App, History, Hub, Overflow, StandardEnvelope, TopicStatistics, WebSocket, WebSocketEndpoint

STATIC = Path(__file__).parent / "static"
BROWSER = Path(__file__).parents[1] / "browser"
INTERVAL = 0.02  # seconds
PRICES = {"Oak": 62.40, "Maple": 48.15, "Ash": 37.90, "Cedar": 71.05, "Birch": 29.60, "Walnut": 94.25}


class Price(Struct):
    name: str
    price: float
    number: int  # of all prices that this name has had, so that a page knows how many it did not get


@asynccontextmanager
async def market(app: App) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trade, app.hub)
        yield
        nursery.cancel_scope.cancel()


async def trade(hub: Hub) -> None:
    for number in count(1):
        for name in PRICES:
            PRICES[name] *= random.uniform(0.998, 1.002)
            await hub.broadcast("prices", Price(name, round(PRICES[name], 2), number), key=name)
        await trio.sleep(INTERVAL)


app = App(
    routes=[Mount("/static", StaticFiles(directory=STATIC)), Mount("/browser", StaticFiles(directory=BROWSER))],
    lifespan=market,
    hub=Hub(history={"prices": History(size=len(PRICES))}),
)


@app.route("/")
async def page(request: Request) -> FileResponse:
    return FileResponse(STATIC / "index.html")


@app.route("/statistics")
async def statistics(request: Request) -> TopicStatistics:
    return app.hub.statistics("prices")


@app.websocket("/live")
class Live(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        # It begins with the newest price of each name. If it is slow, newer ones take the places of those that wait.
        await self.hub.subscribe(
            websocket, "prices", overflow=Overflow.LATEST, latest=True, envelope=StandardEnvelope()
        )
