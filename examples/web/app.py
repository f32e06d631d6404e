"""HTTP beside WebSockets: a page, a status in JSON, static files, a lifespan, and a
name for every route.

Run `wsframework run examples/web/app.py` and open the address that it prints: the
page says how often it was opened since the server started, by all of its visitors,
and /status says how many watch it now.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from wsframework import App, WebSocket, WebSocketEndpoint

STATIC = Path(__file__).parent / "static"


class Counter:
    """Stands for a connection pool or whatever else your application opens at its start."""

    visits = 0


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
    print("the application starts")
    yield {"counter": Counter()}
    print("the application stops")


app = App(routes=[Mount("/static", StaticFiles(directory=STATIC), name="static")], lifespan=lifespan)


@app.route("/")
async def page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


@app.route("/status")
async def status(request: Request) -> dict[str, int]:
    return {"visits": request.state.counter.visits, "watching": app.hub.statistics().subscribers}


@app.route("/hello/{name}", methods=["GET", "POST"])
async def hello(request: Request) -> str:
    return f"Hello, {request.path_params['name']}! The status is at {request.url_for('status')}."


@app.websocket("/visits")
class Visits(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await self.hub.subscribe(websocket, "visits")
        websocket.state.counter.visits += 1
        await self.hub.broadcast("visits", {"visits": websocket.state.counter.visits})
