"""Items, each with a WebSocket that only those who can show a token may open.

Run `wsframework run examples/items/app.py` and open the address that it prints.
Type an item and a token, connect, and send messages: each answer says what the
server knows. Leave the token empty, and the handshake is refused. A page that
has the cookie `session` needs no token.
"""

from pathlib import Path
from typing import Annotated

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from wsframework import App, CloseCode, Cookie, Depends, Query, WebSocket, WebSocketException

PAGE = Path(__file__).parent / "static" / "index.html"

app = App()


@app.route("/")
async def page(request: Request) -> Response:
    return FileResponse(PAGE)


async def get_session(
    session: Annotated[str | None, Cookie()] = None,
    token: Annotated[str | None, Query(max_length=100)] = None,
) -> str:
    if not session and not token:
        raise WebSocketException(CloseCode.POLICY_VIOLATION, "bring a token or a cookie")
    return session or token or ""


@app.websocket("/items/{item_id}/ws")
async def talk_about_item(
    websocket: WebSocket,
    item_id: str,
    session: Annotated[str, Depends(get_session)],
    q: int | None = None,
) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"Your session or token is: {session}")
        if q is not None:
            await websocket.send_text(f"The query parameter q is: {q}")
        await websocket.send_text(f"You said about item {item_id}: {text}")
