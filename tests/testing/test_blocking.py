"""The test client for tests without Trio: everything here is plain, blocking code, and its time is real time."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from wsframework import (
    App,
    CloseCode,
    WebSocket,
    WebSocketDisconnect,
    WebSocketEndpoint,
    WebSocketRoute,
    WebSocketStateError,
)
from wsframework.testing import NothingReceived, TestClient, WebSocketDenialResponse

PATIENCE = 30.0  # seconds; the deadline by default is for programs that are tested, not for a machine that is busy

app = App()


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol="chat" if "chat" in websocket.scope["subprotocols"] else None)
    while (event := await websocket.receive())["type"] == "websocket.receive":
        await websocket.send({**event, "type": "websocket.send"})


@app.websocket("/ask")
async def ask(websocket: WebSocket) -> None:
    await websocket.accept(headers=[(b"x-answer", b"42")])
    await websocket.send_json(
        {
            "path": websocket.url.path,
            "name": websocket.query_params.get("name"),
            "token": websocket.headers.get("x-token"),
            "cookies": websocket.cookies,
        }
    )
    await websocket.close(4000, "asked")


@app.websocket("/refuse")
async def refuse(websocket: WebSocket) -> None:
    await websocket.close()


@app.websocket("/fail")
async def fail(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.receive_text()
    raise LookupError("where is my towel")


@app.websocket("/{room}")
class Room(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await self.hub.subscribe(websocket, "room")

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await self.hub.broadcast("room", data)


@app.route("/hello", methods=["GET", "POST"])
async def hello(request: Request) -> Response:
    body = (await request.body()).decode()
    response = JSONResponse({"method": request.method, "body": body, "cookies": request.cookies})
    response.set_cookie("seen", "yes")
    return response


def test_all_ways_to_send_and_receive() -> None:
    """Text, bytes and JSON come back as they went."""
    with TestClient(app, deadline=PATIENCE).websocket_connect("/echo") as websocket:
        websocket.send_text("grüße")
        assert websocket.receive_text() == "grüße"
        websocket.send_bytes(b"\x00\xff")
        assert websocket.receive_bytes() == b"\x00\xff"
        websocket.send_json({"a": [1, None]})
        assert websocket.receive_json() == {"a": [1, None]}
        websocket.send_json({"ü": 1}, mode="binary")
        assert websocket.receive_json(mode="binary") == {"ü": 1}
        websocket.send_text("")
        assert websocket.receive() == {"type": "websocket.send", "text": ""}


def test_what_a_handshake_says() -> None:
    """Query, headers, cookies, subprotocols, and what the application answers."""
    client = TestClient(app, headers={"x-token": "t"}, cookies={"a": "1"}, deadline=PATIENCE)
    with client.websocket_connect("/ask?x=1", params={"name": "Zoë"}, cookies={"b": "2"}) as websocket:
        assert websocket.receive_json() == {
            "path": "/ask",
            "name": "Zoë",
            "token": "t",
            "cookies": {"a": "1", "b": "2"},
        }
        assert (b"x-answer", b"42") in websocket.extra_headers
        assert websocket.accepted_subprotocol is None
    with client.websocket_connect("/echo", ["other", "chat"]) as websocket:
        assert websocket.accepted_subprotocol == "chat"


def test_a_close_of_the_application() -> None:
    """Its code and reason are in what the next receive raises."""
    with TestClient(app, deadline=PATIENCE).websocket_connect("/ask") as websocket:
        websocket.receive()
        with pytest.raises(WebSocketDisconnect) as caught:
            websocket.receive_text()
    assert (caught.value.code, caught.value.reason) == (4000, "asked")


def test_a_close_of_ours() -> None:
    """The application has it when the block is left."""
    codes = []

    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            codes.append(close_code)

    with TestClient(Endpoint, deadline=PATIENCE).websocket_connect("/") as websocket:
        websocket.close(CloseCode.GOING_AWAY)
    with TestClient(Endpoint, deadline=PATIENCE).websocket_connect("/"):
        pass
    assert codes == [CloseCode.GOING_AWAY, CloseCode.NORMAL_CLOSURE]


@pytest.mark.parametrize("expected", [WebSocketDenialResponse, WebSocketDisconnect])
def test_a_refusal(expected: type[Exception]) -> None:
    """It is raised on entering, with the response in it."""
    with pytest.raises(expected), TestClient(app, deadline=PATIENCE).websocket_connect("/refuse"):
        raise AssertionError("entered")  # pragma: no cover


def test_what_a_refusal_has() -> None:
    """Status, headers and body, as a response has them."""

    async def deny(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"9")]
        await send({"type": "websocket.http.response.start", "status": 418, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b'{"tea":1}'})

    with pytest.raises(WebSocketDenialResponse) as caught, TestClient(deny, deadline=PATIENCE).websocket_connect("/"):
        raise AssertionError("entered")  # pragma: no cover
    refusal = caught.value
    assert (refusal.status_code, refusal.text, refusal.json()) == (418, '{"tea":1}', {"tea": 1})
    assert refusal.headers["Content-Type"] == "application/json"


def test_a_receive_that_waits_in_vain() -> None:
    """It fails when the deadline is over, and says what it waited for; the connection goes on."""
    with TestClient(app, deadline=PATIENCE).websocket_connect("/echo") as websocket:
        websocket._client.deadline = 0.05  # only now: the handshake may take its time
        with pytest.raises(NothingReceived, match=r"/echo: waited 0.05 s for a text message"):
            websocket.receive_text()
        websocket._client.deadline = PATIENCE
        websocket.send_text("still here")
        assert websocket.receive_text() == "still here"


def test_a_handshake_that_waits_in_vain() -> None:
    """It has the same deadline, and the application is cancelled."""
    ended = threading.Event()

    async def silent(websocket: WebSocket) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    with pytest.raises(NothingReceived, match=r"/: waited 0.05 s for an answer to the handshake"):
        with TestClient(App(routes=[WebSocketRoute("/", silent)]), deadline=0.05).websocket_connect("/"):
            raise AssertionError("entered")  # pragma: no cover
    assert ended.is_set()


def test_an_error_of_the_application() -> None:
    """It surfaces in the test that caused it."""
    with (
        pytest.raises(LookupError, match="towel"),
        TestClient(app, deadline=PATIENCE).websocket_connect("/fail") as websocket,
    ):
        websocket.send_text("go")
        websocket.receive_text()
    client = TestClient(app, deadline=PATIENCE, raise_server_exceptions=False)
    with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/fail") as websocket:
        websocket.send_text("go")
        websocket.receive_text()
    assert caught.value.code == CloseCode.INTERNAL_ERROR


def test_an_error_of_the_test() -> None:
    """It comes out as it is."""
    mistake = AssertionError("expected more")
    with pytest.raises(AssertionError) as caught, TestClient(app, deadline=PATIENCE).websocket_connect("/echo"):
        raise mistake
    assert caught.value is mistake


def test_two_clients_in_one_room() -> None:
    """WebSockets of one client are in one run, and so share the hub."""
    client = TestClient(app, deadline=PATIENCE)
    with client.websocket_connect("/room") as ada, client.websocket_connect("/room") as bob:
        ada.send_text("hello")
        assert (ada.receive_text(), bob.receive_text()) == ("hello", "hello")


def test_requests() -> None:
    """HTTP works beside, keeps cookies, and its errors surface too."""
    client = TestClient(app, deadline=PATIENCE)
    assert client.get("/hello").json() == {"method": "GET", "body": "", "cookies": {}}
    assert client.post("/hello", content="text").json() == {
        "method": "POST",
        "body": "text",
        "cookies": {"seen": "yes"},
    }
    assert client.get("/nowhere").status_code == 404
    assert client.cookies == {"seen": "yes"}
    assert client.head("/hello").status_code == 200
    for method in ("put", "patch", "delete", "options"):
        assert getattr(client, method)("/hello").status_code == 405


def test_the_lifespan() -> None:
    """It spans the block of the client; without one, each connection and each request."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[dict[str, str]]:
        events.append("startup")
        yield {"name": "state"}
        events.append("shutdown")

    async def tell(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.state.name)

    living = App(routes=[WebSocketRoute("/", tell)], lifespan=lifespan)

    @living.route("/state")
    async def state(request: Request) -> str:
        return str(request.state.name)

    client = TestClient(living, deadline=PATIENCE)
    with client:
        assert events == ["startup"]
        with client.websocket_connect("/") as websocket:
            assert websocket.receive_text() == "state"
        assert client.get("/state").text == "state"
        assert events == ["startup"]
    assert events == ["startup", "shutdown"]
    assert client.get("/state").text == "state"
    assert events == ["startup", "shutdown"] * 2


def test_an_application_that_cannot_start() -> None:
    """The error of its startup comes out of the block's beginning."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        raise OSError("no database")
        yield

    with pytest.raises(Exception, match="no database"), TestClient(App(lifespan=lifespan)):
        raise AssertionError("entered")  # pragma: no cover


def test_no_thread_is_left() -> None:
    """When the last block is left, the run has ended."""
    with TestClient(app, deadline=PATIENCE).websocket_connect("/echo"):
        assert any(thread.name == "wsframework test client" for thread in threading.enumerate())
    assert all(thread.name != "wsframework test client" for thread in threading.enumerate())


def test_a_mode_that_is_none() -> None:
    """The modes are those of Starlette."""
    with TestClient(app, deadline=PATIENCE).websocket_connect("/echo") as websocket:
        with pytest.raises(ValueError, match='mode is "text" or "binary"'):
            websocket.send_json(1, mode="bytes")  # type: ignore[arg-type]


async def test_inside_trio() -> None:
    """The blocking client would block the run that it is called from; who has Trio has `connect`."""
    await trio.lowlevel.checkpoint()
    with (
        pytest.raises(WebSocketStateError, match="async with connect"),
        TestClient(app, deadline=PATIENCE).websocket_connect("/echo"),
    ):
        raise AssertionError("entered")  # pragma: no cover


@pytest.mark.parametrize(
    "event",
    [{"type": "websocket.connect"}, {"type": "websocket.receive"}, {"type": "websocket.send", "text": "hello"}, {}],
    ids=repr,
)
def test_an_event_that_no_client_sends(event: dict[str, Any]) -> None:
    """It is said which ones there are."""
    with TestClient(app, deadline=PATIENCE).websocket_connect("/echo") as websocket:
        with pytest.raises(ValueError, match=r"a client sends websocket\.receive, with text or bytes, or"):
            websocket.send(event)


def test_a_session_that_was_not_entered() -> None:
    """It connects on entering, and says so to whoever has forgotten that."""
    with pytest.raises(WebSocketStateError, match="it connects when it is entered: `with client.websocket_connect"):
        TestClient(app).websocket_connect("/echo").send_text("hello")


def test_what_is_no_application() -> None:
    """It is said, and not that the application has failed."""
    with pytest.raises(TypeError, match="an application is an App, .* not <module 'threading'"):
        with TestClient(threading).websocket_connect("/"):
            raise AssertionError("entered")  # pragma: no cover
