"""Whom to let in: ways to refuse a handshake, and how to agree on a subprotocol.

Run `wsframework run examples/door/app.py` and connect a client:

- /closed is refused with 403;
- /secret is refused with 401 and a text, unless the request has the header
  `Authorization: Bearer open-sesame`;
- /partner is refused with 403 when a page of another site opens it, except for
  https://partner.example; the other paths take pages of this server only;
- /late accepts everybody, and closes with 1008 when the first message is not
  `open-sesame` or takes 10 seconds;
- /versions speaks the subprotocols v2 and v1, and refuses clients that offer
  neither with 400.
"""

import hmac

import trio
from starlette.responses import JSONResponse, PlainTextResponse

from wsframework import App, CloseCode, WebSocket, WebSocketEndpoint

PASSWORD = "open-sesame"

app = App()


def knows_password(given: str) -> bool:
    return hmac.compare_digest(given.encode(), PASSWORD.encode())


@app.websocket("/closed")
async def closed(websocket: WebSocket) -> None:
    await websocket.close()


@app.websocket("/secret")
class Secret(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket) -> None:
        if knows_password(websocket.headers.get("authorization", "").removeprefix("Bearer ")):
            await websocket.accept()
        else:
            answer = PlainTextResponse("Say the password.\n", 401, {"www-authenticate": "Bearer"})
            await websocket.send_denial_response(answer)


@app.websocket("/partner", allowed_origins=["https://partner.example"])
async def partner(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("welcome")


@app.websocket("/late")
async def late(websocket: WebSocket) -> None:
    await websocket.accept()
    known = False
    with trio.move_on_after(10):
        known = knows_password(await websocket.receive_text())
    if not known:
        await websocket.close(CloseCode.POLICY_VIOLATION, "say the password first")
        return
    await websocket.send_text("welcome")


@app.websocket("/versions")
async def versions(websocket: WebSocket) -> None:
    for version in ("v2", "v1"):
        if version in websocket["subprotocols"]:
            await websocket.accept(version, headers=[(b"x-served-by", b"door")])
            await websocket.send_text(f"we speak {version}")
            return
    await websocket.send_denial_response(JSONResponse({"error": "offer the subprotocol v1 or v2"}, 400))
