"""The WebSocket programs of Responder's tutorial, as one writes them here: imports differ, endpoints do not.

Over real sockets, on our server and as plain ASGI under hypercorn. Where Responder says ``api``, it is an ``App``.
"""

from typing import Any

import pytest
from starlette.requests import Request

from tests.net.servers import Kind, OnPortablePath, OverSockets, StockHypercorn, served_by
from wsframework import App, CloseCode, WebSocket, WebSocketDisconnect
from wsframework.testing import HandshakeRefused, TestClient

kind = served_by(OverSockets(), OnPortablePath(), StockHypercorn())


def echo() -> App:
    api = App()

    @api.route("/ws", websocket=True)
    async def answer(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            text = await ws.receive_text()
            await ws.send_text(f"You said: {text}")

    return api


async def test_echo(kind: Kind) -> None:
    """The first program: `route` with ``websocket=True``, and a loop that ends when the client leaves."""
    async with kind.running(echo()) as served, served.connect("/ws") as client:
        for text in ("one", "two"):
            await client.send(text)
            assert await client.receive() == f"You said: {text}"


async def test_chat_room(kind: Kind) -> None:
    """A set of connections that everybody is told through; who leaves is taken out of it."""
    api, members = App(), set[WebSocket]()

    @api.route("/chat", websocket=True)
    async def chat(ws: WebSocket) -> None:
        await ws.accept()
        members.add(ws)
        try:
            while True:
                text = await ws.receive_text()
                for member in list(members):
                    await member.send_text(text)
        except WebSocketDisconnect:
            pass
        finally:
            members.discard(ws)

    async with kind.running(api) as served:
        async with served.connect("/chat") as ada:
            async with served.connect("/chat") as grace:
                await ada.send("I am ada")
                assert await ada.receive() == "I am ada"
                await grace.send("hello, ada")
                while await grace.receive() != "hello, ada":
                    pass
                assert await ada.receive() == "hello, ada"
            await ada.send("alone")
            assert await ada.receive() == "alone"
    assert members == set()


async def test_formats(kind: Kind) -> None:
    """Text, JSON and binary, in both directions."""
    api = App()

    @api.route("/ws", websocket=True)
    async def formats(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text(await ws.receive_text() + "!")
        await ws.send_json({"got": await ws.receive_json()})
        await ws.send_bytes(await ws.receive_bytes() + b"\x02")

    async with kind.running(api) as served, served.connect("/ws") as client:
        await client.send("text")
        assert await client.receive() == "text!"
        await client.send_json({"kind": "update", "values": [1, 2, 3]})
        assert await client.receive_json() == {"got": {"kind": "update", "values": [1, 2, 3]}}
        await client.send(b"\x00\x01")
        assert await client.receive() == b"\x00\x01\x02"


async def test_authentication_before_the_request(kind: Kind) -> None:
    """A hook looks at the query and accepts; the endpoint behind it accepts again, which is no error here."""
    api, served_to = echo(), list[str]()

    @api.before_request(websocket=True)
    async def check_token(ws: WebSocket) -> None:
        token = ws.query_params.get("token")
        if token != "let-me-in":
            await ws.close(CloseCode.POLICY_VIOLATION)
            return
        await ws.accept()
        served_to.append(token)

    async with kind.running(api) as served:
        async with served.connect("/ws?token=let-me-in") as client:
            await client.send("hello")
            assert await client.receive() == "You said: hello"
        for path in ("/ws", "/ws?token=guess"):
            with pytest.raises(HandshakeRefused) as refused:
                async with served.connect(path):
                    pass
            assert refused.value.status == 403
    assert served_to == ["let-me-in"]


async def test_a_hook_that_does_not_accept(kind: Kind) -> None:
    """It need not: Responder's has to accept, here the endpoint does."""
    api, looked_at = echo(), list[str]()

    @api.before_request(websocket=True)
    async def look(ws: WebSocket) -> None:
        looked_at.append(ws.url.path)

    async with kind.running(api) as served, served.connect("/ws") as client:
        await client.send("hello")
        assert await client.receive() == "You said: hello"
    assert looked_at == ["/ws"]


async def test_life_of_a_connection(kind: Kind) -> None:
    """Connecting, open, closing, closed; the next receive of a client that has left raises."""
    api, states = App(), list[str]()

    @api.route("/ws", websocket=True)
    async def handler(ws: WebSocket) -> None:
        states.append(ws.client_state.name)
        await ws.accept()
        states.append(ws.client_state.name)
        try:
            while True:
                await ws.send_text(f"Got {await ws.receive_text()}")
        except WebSocketDisconnect as end:
            states.append(ws.client_state.name)
            states.append(str(end.code))

    async with kind.running(api) as served, served.connect("/ws") as client:
        await client.send("this")
        assert await client.receive() == "Got this"
        await client.close(4100)
    assert states == ["CONNECTING", "CONNECTED", "DISCONNECTED", "1006" if kind.stock else "4100"]


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011])
async def test_closing_from_the_server(code: int, kind: Kind) -> None:
    """The client gets the code."""
    api = App()

    @api.route("/ws", websocket=True)
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(code=code)

    async with kind.running(api) as served, served.connect("/ws") as client:
        assert (await client.wait_closed()).code == code


def test_the_test_client() -> None:
    """The tests of the tutorial: an echo, and a path that is not there."""
    client = TestClient(echo())
    with client.websocket_connect("/ws") as ws:
        ws.send_text("hello")
        assert ws.receive_text() == "You said: hello"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/nonexistent"):
        pass


def test_before_an_http_request() -> None:
    """The same decorator without an argument is for HTTP; what it returns is the response."""
    api = App()

    @api.before_request
    def maintenance(request: Request) -> Any:
        return {"error": "come back later"} if "x-maintenance" in request.headers else None

    @api.route("/")
    async def page(request: Request) -> str:
        return "page"

    client = TestClient(api)
    assert client.get("/").text == "page"
    assert client.get("/", headers={"x-maintenance": "1"}).json() == {"error": "come back later"}
