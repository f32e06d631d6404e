"""What the request tells an endpoint, and how a handshake is refused."""

import pytest

from tests.net.contract.diary import Diary, serving
from tests.net.echo import Echo
from tests.net.observing import errors_in
from tests.net.servers import Kind
from wsframework import App, CloseCode, WebSocket, WebSocketEndpoint
from wsframework.testing import HandshakeRefused


async def test_path_and_query_parameters(kind: Kind) -> None:
    """What stands in the address reaches the endpoint, decoded and converted."""
    app = App()

    @app.websocket("/room/{room}/{number:int}")
    async def tell(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json([websocket.path_params, dict(websocket.query_params)])

    async with kind.running(app) as served, served.connect("/room/t%C3%A9/7?a=1&b=%20") as client:
        assert await client.receive_json() == [{"room": "té", "number": 7}, {"a": "1", "b": " "}]


async def test_headers_both_ways(kind: Kind) -> None:
    """The endpoint reads the request's header fields and cookies; the client reads what accept added."""

    async def tell(websocket: WebSocket) -> None:
        await websocket.accept(headers=[(b"x-answer", b"42")])
        await websocket.send_json([websocket.headers["x-question"], websocket.cookies, websocket.url.scheme])

    headers = {"X-Question": "what", "Cookie": "flavour=oat"}
    async with kind.running(serving(tell)) as served, served.connect(headers=headers) as client:
        assert await client.receive_json() == ["what", {"flavour": "oat"}, served.scheme]
        assert (b"x-answer", b"42") in [(name.lower(), value) for name, value in client.headers]


async def test_subprotocol(kind: Kind) -> None:
    """The endpoint sees what the client offers and chooses one; the client sees the choice."""

    async def choose(websocket: WebSocket) -> None:
        offered = websocket["subprotocols"]
        await websocket.accept(subprotocol=offered[-1] if offered else None)
        await websocket.send_json(offered)

    async with kind.running(serving(choose)) as served:
        async with served.connect(subprotocols=["chat.v1", "chat.v2"]) as client:
            assert await client.receive_json() == ["chat.v1", "chat.v2"]
            assert client.subprotocol == "chat.v2"
        async with served.connect() as client:
            assert await client.receive_json() == []
            assert client.subprotocol is None


async def test_refused_before_accept(kind: Kind, diary: Diary, caplog: pytest.LogCaptureFixture) -> None:
    """close before accept answers the handshake with 403, and on_disconnect runs."""

    class Closed(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.close(CloseCode.POLICY_VIOLATION)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Closed)) as served:
        with pytest.raises(HandshakeRefused) as refusal:
            async with served.connect():
                pytest.fail("it was accepted")
        await diary.wait_for("gone")
    assert refusal.value.status == 403
    assert diary.entries == [("gone", CloseCode.POLICY_VIOLATION)]
    assert not errors_in(caplog)


async def test_path_that_no_route_knows(kind: Kind) -> None:
    """An unknown path is answered with 404, before the upgrade."""
    async with kind.running(serving(Echo)) as served:
        with pytest.raises(HandshakeRefused) as refusal:
            async with served.connect("/elsewhere"):
                pytest.fail("it was accepted")
    assert refusal.value.status == 404
