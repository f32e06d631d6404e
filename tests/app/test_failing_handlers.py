"""Exception handlers that fail, hang or come too late, and what a client is told of an exception."""

from __future__ import annotations

import pytest
import trio
from starlette.responses import PlainTextResponse, Response
from trio.testing import MockClock

from tests.app.raising import SECRET, OutOfTeaError, app_that_raises, errors_in, goodbye, refusal
from tests.asgi.server import ASGIServer
from wsframework import (
    App,
    HTTPException,
    WebSocket,
    WebSocketEndpoint,
)
from wsframework.testing import connect


async def test_a_handler_that_fails(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Its own error is logged; an exception with an answer is answered."""
    failing = app_that_raises(OutOfTeaError(), accept=False)
    refusing = app_that_raises(OutOfTeaError(), accept=False)

    @failing.exception_handler(OutOfTeaError)
    async def fail(websocket: WebSocket, exc: OutOfTeaError) -> None:
        raise ZeroDivisionError(SECRET)

    @refusing.exception_handler(OutOfTeaError)
    async def refuse(websocket: WebSocket, exc: OutOfTeaError) -> None:
        raise HTTPException(418)

    assert (await refusal(failing)).status == 500
    [record] = errors_in(caplog)
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)
    assert (await refusal(refusing)).status == 418


async def test_a_handler_that_hangs(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """It has five seconds, and the connection ends all the same."""
    app = app_that_raises(OutOfTeaError(), accept=True)

    @app.exception_handler(OutOfTeaError)
    async def hang(websocket: WebSocket, exc: OutOfTeaError) -> None:
        await trio.sleep_forever()

    async with connect(app, deadline=10) as client:
        assert (await client.wait_closed()).code == 1011
    assert any("was cancelled after 5 s" in record.message for record in caplog.records)


@pytest.mark.parametrize("accept", [False, True], ids=["before accept", "after accept"])
@pytest.mark.parametrize("debug", [False, True], ids=["production", "debug"])
async def test_the_text_of_an_exception(accept: bool, debug: bool, autojump_clock: MockClock) -> None:
    """It reaches a client in debug mode only: with the traceback before accept, as the reason of a close after it."""
    app = app_that_raises(ZeroDivisionError(SECRET), accept=accept, debug=debug)
    if accept:
        assert await goodbye(app) == (1011, f"ZeroDivisionError: {SECRET}" if debug else "")
    else:
        refused = await refusal(app)
        assert refused.status == 500
        assert (SECRET.encode() in refused.body) is debug
        assert (b"Traceback" in refused.body) is debug


async def test_a_long_text_in_debug_mode(autojump_clock: MockClock) -> None:
    """A close has 123 bytes for its reason; a character is not cut in two."""
    app = app_that_raises(ZeroDivisionError("ä" * 200), accept=True, debug=True)
    code, reason = await goodbye(app)
    assert code == 1011
    assert 121 <= len(reason.encode()) <= 123


async def test_a_handler_for_a_client_that_has_left(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is called, and what it sends raises WebSocketDisconnect, which is no error."""
    app, calls = App(), []

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            raise OutOfTeaError

    @app.exception_handler(OutOfTeaError)
    async def say_so(websocket: WebSocket, exc: OutOfTeaError) -> None:
        calls.append(websocket.close_code)
        await websocket.send_text("no tea")

    async with connect(app) as client:
        await client.close(4000)
    assert calls == [4000]
    assert errors_in(caplog) == []


async def test_an_error_in_debug_mode_for_a_client_that_has_left(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """There is nobody to show it to; it is logged."""
    app = App(debug=True)

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            raise OutOfTeaError

    async with connect(app, raise_app_errors=False) as client:
        await client.close(4000)
    assert len(errors_in(caplog)) == 1


async def test_a_response_on_a_server_that_cannot_send_it(caplog: pytest.LogCaptureFixture) -> None:
    """The handshake is refused with 403 there, which is what closing means before accept."""
    app = app_that_raises(OutOfTeaError(SECRET), accept=False)

    @app.exception_handler(OutOfTeaError)
    async def say_so(websocket: WebSocket, exc: OutOfTeaError) -> Response:
        return PlainTextResponse("no tea", 418)

    server = ASGIServer()
    await app(server.scope, server.receive, server.send)
    assert [(event["type"], event["code"]) for event in server.sent] == [("websocket.close", 1008)]
    assert errors_in(caplog) == []
