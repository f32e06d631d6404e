"""The WebSocket programs of FastAPI's tutorial, as one writes them here: imports differ, endpoints do not.

Over real sockets, on our server and as plain ASGI under hypercorn.
"""

from typing import Annotated, Any

import pytest

from tests.net.servers import Kind, OnPortablePath, OverSockets, StockHypercorn, served_by
from wsframework import (
    App,
    Cookie,
    Depends,
    Header,
    Query,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from wsframework import Path as PathParameter
from wsframework.testing import HandshakeRefused

kind = served_by(OverSockets(), OnPortablePath(), StockHypercorn())


async def test_send_and_receive(kind: Kind) -> None:
    """The first program: accept, and answer each text until the client leaves."""
    app = App()

    @app.websocket("/ws")
    async def answer(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            data = await websocket.receive_text()
            await websocket.send_text(f"You wrote: {data}")

    async with kind.running(app) as served, served.connect("/ws") as client:
        for text in ("first", "second"):
            await client.send(text)
            assert await client.receive() == f"You wrote: {text}"


def items(annotated: bool) -> App:
    """The program with an item in the path, and a token in the query or a cookie."""
    app = App()
    if annotated:

        async def cookie_or_token(
            websocket: WebSocket,
            session: Annotated[str | None, Cookie()] = None,
            token: Annotated[str | None, Query()] = None,
        ) -> str:
            if session is None and token is None:
                raise WebSocketException(code=1008)
            return session or token or ""

        @app.websocket("/items/{item_id}/ws")
        async def item(
            *,
            websocket: WebSocket,
            item_id: str,
            q: int | None = None,
            cookie_or_token: Annotated[str, Depends(cookie_or_token)],
        ) -> None:
            await talk(websocket, item_id, q, cookie_or_token)
    else:

        async def default_cookie_or_token(
            websocket: WebSocket, session: str | None = Cookie(None), token: str | None = Query(None)
        ) -> str:
            if session is None and token is None:
                raise WebSocketException(code=1008)
            return session or token or ""

        @app.websocket("/items/{item_id}/ws")
        async def default_item(
            websocket: WebSocket,
            item_id: str,
            q: int | None = None,
            cookie_or_token: str = Depends(default_cookie_or_token),
        ) -> None:
            await talk(websocket, item_id, q, cookie_or_token)

    return app


async def talk(websocket: WebSocket, item_id: str, q: int | None, credentials: str) -> None:
    await websocket.accept()
    while True:
        data = await websocket.receive_text()
        await websocket.send_text(f"Known by {credentials}")
        if q is not None:
            await websocket.send_text(f"Asked for {q}")
        await websocket.send_text(f"You wrote {data} about {item_id}")


@pytest.mark.parametrize("annotated", [True, False], ids=["annotated", "defaults"])
async def test_item_and_token(annotated: bool, kind: Kind) -> None:
    """Cookie and query are taken by a dependency, the item from the path, a number from the query."""
    async with kind.running(items(annotated)) as served:
        async with served.connect("/items/2/ws?token=some-token&q=3") as client:
            for text in ("one", "two"):
                await client.send(text)
                assert await client.receive() == "Known by some-token"
                assert await client.receive() == "Asked for 3"
                assert await client.receive() == f"You wrote {text} about 2"
        async with served.connect("/items/3/ws", headers={"cookie": "session=from-cookie"}) as client:
            await client.send("x")
            assert await client.receive() == "Known by from-cookie"


@pytest.mark.parametrize("annotated", [True, False], ids=["annotated", "defaults"])
@pytest.mark.parametrize("path", ["/items/2/ws", "/items/2/ws?token=t&q=many"])
async def test_item_refused(path: str, annotated: bool, kind: Kind) -> None:
    """Without credentials, and with a number that is none, the handshake is refused with 403."""
    async with kind.running(items(annotated)) as served:
        with pytest.raises(HandshakeRefused) as refused:
            async with served.connect(path):
                pass
    assert refused.value.status == 403
    assert (b"query parameter 'q' is not int" in refused.value.body) is ("many" in path)


async def test_all_kinds_of_parameters(kind: Kind) -> None:
    """The markers that the tutorial lists, together."""
    app = App()

    async def common(q: str | None = None, skip: int = 0, limit: Annotated[int, Query(le=100)] = 10) -> dict[str, Any]:
        return {"q": q, "skip": skip, "limit": limit}

    @app.websocket("/{item_id}")
    async def endpoint(
        websocket: WebSocket,
        item_id: Annotated[int, PathParameter(ge=1)],
        common: Annotated[dict[str, Any], Depends(common)],
        x_token: Annotated[list[str] | None, Header()] = None,
    ) -> None:
        await websocket.accept()
        await websocket.send_json([item_id, common, x_token])
        await websocket.close()

    async with kind.running(app) as served:
        async with served.connect("/7?q=tea&limit=5", headers={"x-token": "abc"}) as client:
            assert await client.receive_json() == [7, {"q": "tea", "skip": 0, "limit": 5}, ["abc"]]
        for path in ("/0", "/x", "/7?limit=101"):
            with pytest.raises(HandshakeRefused):
                async with served.connect(path):
                    pass


async def test_several_clients(kind: Kind) -> None:
    """The last program: what one client says goes to all; when one leaves, the others are told."""
    app = App()
    active: list[WebSocket] = []

    async def tell_all(text: str) -> None:
        for each in list(active):
            await each.send_text(text)

    @app.websocket("/ws/{client_id}")
    async def chat(websocket: WebSocket, client_id: int) -> None:
        await websocket.accept()
        active.append(websocket)
        try:
            while True:
                data = await websocket.receive_text()
                await websocket.send_text(f"You: {data}")
                await tell_all(f"{client_id}: {data}")
        except WebSocketDisconnect:
            active.remove(websocket)
            await tell_all(f"{client_id} has left")

    async with kind.running(app) as served, served.connect("/ws/1") as one:
        async with served.connect("/ws/2") as two:
            await one.send("hello")
            assert [await one.receive(), await one.receive()] == ["You: hello", "1: hello"]
            assert await two.receive() == "1: hello"
        assert await one.receive() == "2 has left"
