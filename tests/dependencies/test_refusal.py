"""`WebSocketException` and `HTTPException`, from anywhere: an answer to the handshake, or a close code."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import starlette.exceptions
import trio
from trio.testing import MockClock

from wsframework import (
    App,
    CloseCode,
    Depends,
    HTTPException,
    WebSocket,
    WebSocketEndpoint,
    WebSocketException,
)
from wsframework.testing import HandshakeRefused, connect


def app_that_raises(error: Exception, place: str) -> tuple[App, list[Any]]:
    """An app whose endpoint raises in that place, and the close that on_disconnect saw."""
    app = App()
    ends: list[Any] = []

    async def fail() -> None:
        raise error

    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            if place == "before accept":
                raise error
            await websocket.accept()
            if place == "after accept":
                raise error
            if place == "nursery":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(fail)
            if place == "task":
                self.start_soon(fail)

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            raise error

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            ends.append((close_code, websocket.close_reason))

    class InMessage(Endpoint):
        async def on_receive(
            self, websocket: WebSocket, data: str, _: Annotated[None, Depends(fail, scope="message")]
        ) -> None: ...

    class InConnection(Endpoint):
        async def on_connect(self, websocket: WebSocket, _: Annotated[None, Depends(fail)]) -> None: ...

    classes = {"dependency": InConnection, "message dependency": InMessage}
    app.websocket("/")(classes.get(place, Endpoint))
    return app, ends


@pytest.mark.parametrize("kind", [WebSocketException, starlette.exceptions.WebSocketException])
@pytest.mark.parametrize("place", ["after accept", "nursery", "task", "on_receive", "message dependency"])
async def test_after_accept(place: str, kind: Any, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """The connection is closed with the code and the reason; on_disconnect gets them, and no log calls it an error."""
    app, ends = app_that_raises(kind(4003, "no more"), place)
    async with connect(app) as client:
        if place in ("on_receive", "message dependency"):
            await client.send("x")
        end = await client.wait_closed()
    assert (end.code, end.reason) == (4003, "no more")
    assert ends == [(4003, "no more")]
    assert not caplog.records


@pytest.mark.parametrize("kind", [WebSocketException, starlette.exceptions.WebSocketException])
@pytest.mark.parametrize("place", ["before accept", "dependency"])
async def test_before_accept(place: str, kind: Any, autojump_clock: MockClock) -> None:
    """The handshake is refused with 403, and the reason is the body."""
    app, ends = app_that_raises(kind(CloseCode.POLICY_VIOLATION, "who are you?"), place)
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app):
            pass
    assert (refused.value.status, refused.value.body) == (403, b"who are you?\n")
    assert ends == ([(1008, "who are you?")] if place == "before accept" else [])


async def test_without_a_reason(autojump_clock: MockClock) -> None:
    """A refusal without a reason has the usual body."""
    app, ends = app_that_raises(WebSocketException(4000), "before accept")
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app):
            pass
    assert (refused.value.status, refused.value.body) == (403, b"The handshake was refused.\n")
    assert ends == [(4000, "")]


@pytest.mark.parametrize("place", ["before accept", "dependency"])
async def test_http_exception(place: str, autojump_clock: MockClock) -> None:
    """HTTPException is the answer to the handshake: status, detail and headers."""
    app, _ = app_that_raises(HTTPException(401, "say who you are", {"www-authenticate": "Bearer"}), place)
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app):
            pass
    assert (refused.value.status, refused.value.body) == (401, b"say who you are")
    assert (b"www-authenticate", b"Bearer") in refused.value.headers


async def test_http_exception_without_a_body(autojump_clock: MockClock) -> None:
    """A status that has no body is sent without one."""
    app, _ = app_that_raises(HTTPException(204), "before accept")
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app):
            pass
    assert (refused.value.status, refused.value.body) == (204, b"")


async def test_http_exception_after_accept(autojump_clock: MockClock) -> None:
    """There is no response any more that could carry it: that is a mistake of the program, and closes with 1011."""
    app, ends = app_that_raises(HTTPException(401), "on_receive")
    with pytest.raises(HTTPException):
        async with connect(app) as client:
            await client.send("x")
            assert (await client.wait_closed()).code == 1011
    assert ends == [(1011, "")]


@pytest.mark.parametrize("place", ["before accept", "after accept"])
async def test_a_code_that_may_not_be_sent(place: str, autojump_clock: MockClock) -> None:
    """Ours is refused where it is made; Starlette's, which takes anything, is a mistake of the program."""
    with pytest.raises(ValueError, match="1005 may not be sent"):
        WebSocketException(1005)
    app, _ = app_that_raises(starlette.exceptions.WebSocketException(1005), place)
    with pytest.raises(ValueError, match="1005 may not be sent"):
        async with connect(app) as client:
            await client.wait_closed()


async def test_a_header_that_must_not_travel(autojump_clock: MockClock) -> None:
    """A response that cannot be sent is a mistake of the program, and answered with 500."""
    app, _ = app_that_raises(HTTPException(401, "x", {"x-bad": "a\r\nb: c"}), "before accept")
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, raise_app_errors=False):
            pass
    assert refused.value.status == 500


async def test_after_a_response_of_its_own(autojump_clock: MockClock) -> None:
    """Who has answered already cannot answer again: the first answer stands."""
    from starlette.responses import PlainTextResponse

    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        await PlainTextResponse("gone", 410)(websocket.scope, websocket.receive, websocket.send)
        raise WebSocketException(1008, "too late")

    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app):
            pass
    assert (refused.value.status, refused.value.body) == (410, b"gone")


async def test_a_server_that_cannot_answer(autojump_clock: MockClock) -> None:
    """Without ASGI's denial response, a refusal is a close before accept, which servers answer with 403."""
    app, _ = app_that_raises(HTTPException(401), "before accept")
    sent: list[Any] = []
    events = iter([{"type": "websocket.connect"}])

    async def receive() -> Any:
        for event in events:
            return event
        await trio.sleep_forever()

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b"", "subprotocols": []}
    await app(scope, receive, send)
    assert [event["type"] for event in sent] == ["websocket.close"]
    assert sent[0]["code"] == 1008


async def test_the_first_of_several(autojump_clock: MockClock) -> None:
    """Of several errors in a group one is told to the client."""
    app, _ = app_that_raises(ExceptionGroup("", [WebSocketException(4001), WebSocketException(4002)]), "on_receive")
    async with connect(app) as client:
        await client.send("x")
        assert (await client.wait_closed()).code == 4001
