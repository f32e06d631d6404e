"""A database handle for as long as it is needed: for the handshake, and for each message.

Run `python examples/items/database.py`: it connects a client to the application in
memory, sends two messages, and prints when the handle was taken and given back.
"""

from collections.abc import AsyncIterator
from typing import Annotated

import trio

from wsframework import App, Depends, Header, WebSocket, WebSocketEndpoint
from wsframework.testing import connect

app = App()


class Session:
    """Stands for a session of your database."""

    async def find_user(self, token: str) -> str:
        return f"the owner of {token}"

    async def save(self, text: str) -> None:
        print("  saved:", text)


async def open_session() -> AsyncIterator[Session]:
    print("  a session is taken from the pool")
    try:
        yield Session()
    except Exception:
        print("  it is rolled back")
        raise
    finally:
        print("  and given back")


async def get_user(
    session: Annotated[Session, Depends(open_session, scope="handshake")],
    x_token: Annotated[str, Header()],
) -> str:
    return await session.find_user(x_token)


@app.websocket("/notes")
class Notes(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket, user: Annotated[str, Depends(get_user)]) -> None:
        await websocket.accept()
        print("connected:", user)

    async def on_receive(
        self,
        websocket: WebSocket,
        data: str,
        user: Annotated[str, Depends(get_user)],
        session: Annotated[Session, Depends(open_session, scope="message")],
    ) -> None:
        await session.save(f"{data!r} of {user}")

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        print("disconnected")


async def main() -> None:
    async with connect(app, "/notes", headers={"x-token": "12345"}) as client:
        await client.send("milk")
        await client.send("tea")


if __name__ == "__main__":
    trio.run(main)
