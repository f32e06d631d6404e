"""Broadcast from a task of the application: prices that change, for which the
newest is what counts.

Run `wsframework run examples/market/app.py` and connect to /prices/gold: a price
comes twice a second.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from wsframework import App, Hub, Overflow, WebSocket, WebSocketEndpoint

METALS = {"gold": 4000.0, "silver": 50.0}


@asynccontextmanager
async def market(app: App) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trade, app.hub)
        yield
        nursery.cancel_scope.cancel()


async def trade(hub: Hub) -> None:
    while True:
        for metal in METALS:
            METALS[metal] *= random.uniform(0.99, 1.01)
            await hub.broadcast(metal, {"metal": metal, "price": round(METALS[metal], 2)})
        await trio.sleep(0.5)


# A client that is behind gets the 16 newest prices when it comes back, not those of the last minutes.
app = App(lifespan=market, hub=Hub(capacity=16, overflow=Overflow.DROP_OLDEST))


@app.websocket("/prices/{metal}")
class Prices(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket) -> None:
        metal = websocket.path_params["metal"]
        if metal not in METALS:
            await websocket.close()
            return
        await websocket.accept()
        await websocket.send_json({"metal": metal, "price": round(METALS[metal], 2)})
        await self.hub.subscribe(websocket, metal)
