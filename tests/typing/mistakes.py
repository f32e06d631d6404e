"""Mistakes that type checkers find in programs. mypy and pyright fail here where a mistake is not found any more."""

# pyright: reportUnnecessaryTypeIgnoreComment=error

from typing import Annotated

from wsframework import (
    App,
    CloseCode,
    Cookie,
    Depends,
    Header,
    Hub,
    Overflow,
    Path,
    Query,
    Security,
    WebSocket,
    WebSocketEndpoint,
    WebSocketException,
)
from wsframework.testing import TestClient


class User:
    pass


async def get_user() -> User:
    return User()


# A default of the wrong type; in Annotated nothing can be found.
number: int = Depends(get_user)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
other: int = Security(get_user, scopes=["read"])  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

# What was called already, what cannot be called, a scope that there is not, permissions that are no list.
Depends(42)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
Depends(get_user, scope="request")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
Depends(get_user, cache=False)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
Security(get_user, scope="request")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]

# Bounds that are none, and words that are no option.
Path(ge="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Query(1, minimum=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Header(convert_underscores="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Cookie(alias=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

app = App()
app.exception_handler("404")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
App(routes="/")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@app.websocket("/", compression="gzip")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def function(websocket: WebSocket, user: Annotated[User, Depends(get_user)]) -> None:
    # A message has the type that its method says.
    number: int = await websocket.receive_text()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    await websocket.send_bytes("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await websocket.send_text(b"bytes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await websocket.send_json(number, mode="bytes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await websocket.accept(headers={"x": "1"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    await websocket.close("bye")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    raise WebSocketException("1008", "no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Endpoint(WebSocketEndpoint):
    concurrency = "many"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    async def on_disconnect(self, websocket: WebSocket, close_code: str) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        pass

    def on_later(self, hub: Hub) -> None:
        # A receipt waits for nothing, and a policy is one of the five.
        hub.broadcast_nowait("topic", 3 + 4j).wait()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        Hub(overflow="drop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        Hub(overflow=Overflow.FORGET)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        code: str = CloseCode.GOING_AWAY  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        print(code)


with TestClient(app).websocket_connect("/", subprotocols=3) as client:  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.send_text(client.receive_bytes())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
