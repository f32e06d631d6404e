"""Everything that the test kit can do, a test for each. Run `pytest examples/kit`,
with pytest-trio installed.
"""

import pytest
import trio
from trio.testing import MockClock

from wsframework import App, CloseCode, Limits, WebSocket, WebSocketDisconnect, WebSocketEndpoint
from wsframework.testing import HandshakeRefused, NothingReceived, connect

app = App()


@app.websocket("/echo")
class Echo(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket) -> None:
        protocols = websocket["subprotocols"]
        await websocket.accept(protocols[0] if protocols else None, headers=[(b"x-served-by", b"kit")])

    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))


@app.websocket("/numbers")
async def numbers(websocket: WebSocket) -> None:
    await websocket.accept()
    for number in range(int(websocket.query_params["count"])):
        await websocket.send_json({"number": number})
    await websocket.close(4000, "that was all")


@app.websocket("/closed")
async def closed(websocket: WebSocket) -> None:
    await websocket.close()


@app.websocket("/broken")
class Broken(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        raise ZeroDivisionError("a mistake")


ends: list[tuple[int, str]] = []  # how the connections of the next endpoint ended


@app.websocket("/noted")
class Noted(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        for _ in range(int(data)):
            await websocket.send_text("x" * 1000)

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        ends.append((close_code, websocket.close_reason))


# Messages and the handshake


async def test_messages() -> None:
    async with connect(app, "/echo") as client:
        await client.send("text")
        assert await client.receive() == "text"
        await client.send_bytes(b"bytes")
        assert await client.receive_bytes() == b"bytes"
        await client.send_json({"answer": 42})
        assert await client.receive_json() == {"answer": 42}


async def test_handshake() -> None:
    async with connect(app, "/echo", headers={"cookie": "user=ada"}, subprotocols=["v2", "v1"]) as client:
        assert client.subprotocol == "v2"
        assert (b"x-served-by", b"kit") in client.headers


async def test_refusal() -> None:
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, "/closed"):
            pass
    assert refused.value.status == 403
    assert refused.value.body == b"The handshake was refused.\n"


# The end


async def test_the_application_closes() -> None:
    async with connect(app, "/numbers?count=1") as client:
        assert await client.receive_json() == {"number": 0}
        with pytest.raises(WebSocketDisconnect) as end:
            await client.receive()
        assert (end.value.code, end.value.reason) == (4000, "that was all")


async def test_the_application_closes_and_the_messages_do_not_matter() -> None:
    async with connect(app, "/numbers?count=100") as client:
        assert (await client.wait_closed()).code == 4000


async def test_the_client_closes() -> None:
    async with connect(app, "/noted") as client:
        await client.close(4001, "bye")
    assert ends.pop() == (4001, "bye")


async def test_an_error_of_the_application_is_an_error_of_the_test() -> None:
    with pytest.raises(ZeroDivisionError, match="a mistake"):  # noqa: PT012 - it comes when the inner block ends
        async with connect(app, "/broken") as client:
            await client.send("")
            assert (await client.wait_closed()).code == CloseCode.INTERNAL_ERROR


async def test_an_error_that_is_expected() -> None:
    async with connect(app, "/broken", raise_app_errors=False) as client:
        await client.send("")
        assert (await client.wait_closed()).code == CloseCode.INTERNAL_ERROR


# Time


async def test_no_wait_is_for_ever(autojump_clock: MockClock) -> None:
    async with connect(app, "/echo", deadline=30) as client:
        with pytest.raises(NothingReceived, match="waited 30 s for a text message; 0 messages came before"):
            await client.receive_text()
        client.deadline = 5
        await client.receive_nothing(seconds=2)


# Faults


async def test_a_client_that_reads_on_loses_nothing(autojump_clock: MockClock) -> None:
    async with connect(app, "/noted", window=4096) as client:
        client.stall()
        await client.send("10")
        await trio.sleep(5)
        client.resume()
        for _ in range(10):
            assert await client.receive() == "x" * 1000
    assert ends.pop() == (1000, "")


async def test_a_client_that_freezes_is_cut_off(autojump_clock: MockClock) -> None:
    async with connect(app, "/noted", limits=Limits(write_timeout=3), window=4096) as client:
        client.stall()
        await client.send("10")
        await trio.sleep(4)
    assert ends.pop() == (1006, "the client took too little in 3 s")


async def test_a_client_that_vanishes(autojump_clock: MockClock) -> None:
    async with connect(app, "/noted") as client:
        client.vanish()
        await trio.sleep(1)
        assert ends.pop() == (1006, "the client left without a close frame")
