"""Exception handlers: who is called for what, and what it may do."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
import trio
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import WebSocketRoute as StarletteRoute
from trio.testing import MockClock

from tests.app.raising import SECRET, OutOfGreenTeaError, OutOfTeaError, app_that_raises, errors_in, goodbye, refusal
from wsframework import (
    App,
    HTTPException,
    InvalidData,
    InvalidParameter,
    WebSocket,
    WebSocketEndpoint,
    WebSocketException,
)
from wsframework.testing import HandshakeRefused, connect


@pytest.mark.parametrize("asynchronous", [True, False], ids=["async", "plain"])
async def test_it_gets_the_websocket_and_the_exception(asynchronous: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A handler is called with both; one that is not async is called in a worker thread. Nothing is logged."""
    error = OutOfTeaError(SECRET)
    app = app_that_raises(error, accept=True)
    calls: list[tuple[Any, Any, bool]] = []
    loop = threading.get_ident()

    def note(websocket: WebSocket, exc: OutOfTeaError) -> None:
        calls.append((type(websocket), exc, threading.get_ident() == loop))

    async def note_in_the_loop(websocket: WebSocket, exc: OutOfTeaError) -> None:
        note(websocket, exc)

    app.exception_handler(OutOfTeaError)(note_in_the_loop if asynchronous else note)
    assert await goodbye(app) == (1011, "")
    assert calls == [(WebSocket, error, asynchronous)]
    assert errors_in(caplog) == []


@pytest.mark.parametrize("wrapped", [False, True], ids=["itself", "in a partial"])
async def test_an_object_that_is_called(
    wrapped: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler may be one with an async __call__, for WebSockets as for HTTP."""

    class Goodbye:
        async def __call__(self, websocket: WebSocket, exc: OutOfTeaError) -> None:
            await websocket.close(4004, "no tea")

    app = app_that_raises(OutOfTeaError(SECRET), accept=True)
    app.add_exception_handler(OutOfTeaError, partial(Goodbye()) if wrapped else Goodbye())
    assert await goodbye(app) == (4004, "no tea")
    assert errors_in(caplog) == []


async def test_it_closes(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A handler may send and close, with a code of its own."""
    app = app_that_raises(OutOfTeaError(SECRET), accept=True)

    @app.exception_handler(OutOfTeaError)
    async def say_so(websocket: WebSocket, exc: OutOfTeaError) -> None:
        await websocket.send_text("no tea")
        await websocket.close(4004, "no tea")

    async with connect(app) as client:
        assert await client.receive() == "no tea"
        end = await client.wait_closed()
    assert (end.code, end.reason) == (4004, "no tea")
    assert errors_in(caplog) == []


@pytest.mark.parametrize("how", ["returns", "denies"])
async def test_it_refuses(how: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Before accept a handler may return a response, as for HTTP, or send it."""
    app = app_that_raises(OutOfTeaError(SECRET), accept=False)

    @app.exception_handler(OutOfTeaError)
    async def say_so(websocket: WebSocket, exc: OutOfTeaError) -> Response | None:
        response = JSONResponse({"error": "tea"}, 418)
        if how == "returns":
            return response
        await websocket.send_denial_response(response)
        return None

    refused = await refusal(app)
    assert (refused.status, refused.body) == (418, b'{"error":"tea"}')
    assert errors_in(caplog) == []


async def test_it_accepts(autojump_clock: MockClock) -> None:
    """Before accept a handler may accept, so that a page can read the code."""
    app = app_that_raises(OutOfTeaError(SECRET), accept=False)

    @app.exception_handler(OutOfTeaError)
    async def say_so(websocket: WebSocket, exc: OutOfTeaError) -> None:
        await websocket.accept()
        await websocket.close(4004)

    assert (await goodbye(app))[0] == 4004


async def test_it_does_nothing(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Where a handler gives no answer the client gets 500, without the text."""
    app = app_that_raises(OutOfTeaError(SECRET), accept=False)

    @app.exception_handler(OutOfTeaError)
    async def say_nothing(websocket: WebSocket, exc: OutOfTeaError) -> None: ...

    refused = await refusal(app)
    assert refused.status == 500
    assert SECRET.encode() not in refused.body
    assert errors_in(caplog) == []


async def test_a_response_after_accept(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """There is no response that could carry it: the connection is closed with 1011 and the error is logged."""
    app = app_that_raises(OutOfTeaError(SECRET), accept=True)

    @app.exception_handler(OutOfTeaError)
    async def for_http(request: Any, exc: OutOfTeaError) -> Response:
        return PlainTextResponse("no tea", 418)

    assert await goodbye(app) == (1011, "")
    [record] = errors_in(caplog)
    assert "OutOfTeaError" in str(record.exc_info)


async def test_the_nearest_class(autojump_clock: MockClock) -> None:
    """The handler for the class itself wins over the one for its base; another class has none."""
    codes = {}
    for error in (OutOfGreenTeaError(), OutOfTeaError(), ZeroDivisionError()):
        app = app_that_raises(error, accept=True)

        @app.exception_handler(OutOfTeaError)
        async def base(websocket: WebSocket, exc: Exception) -> None:
            await websocket.close(4001)

        @app.exception_handler(OutOfGreenTeaError)
        async def derived(websocket: WebSocket, exc: Exception) -> None:
            await websocket.close(4002)

        codes[type(error).__name__] = (await goodbye(app))[0]
    assert codes == {"OutOfGreenTeaError": 4002, "OutOfTeaError": 4001, "ZeroDivisionError": 1011}


@pytest.mark.parametrize("key", [Exception, 500])
async def test_errors_that_nobody_expected(
    key: Any, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """They have a handler too, and are logged all the same; what has an answer of its own keeps it."""
    app = app_that_raises(ZeroDivisionError(SECRET), accept=False)
    refusing = app_that_raises(WebSocketException(1008, "no"), accept=False)

    async def sorry(websocket: WebSocket, exc: Exception) -> Response:
        return PlainTextResponse("sorry", 503)

    for each in (app, refusing):
        each.add_exception_handler(key, sorry)
    refused = await refusal(app)
    assert (refused.status, refused.body) == (503, b"sorry")
    assert len(errors_in(caplog)) == 1
    assert (await refusal(refusing)).status == 403


async def test_a_status(autojump_clock: MockClock) -> None:
    """A handler for a status gets the HTTPException that has it."""
    app = app_that_raises(HTTPException(404, "no such room"), accept=False)

    @app.exception_handler(404)
    async def not_found(websocket: WebSocket, exc: HTTPException) -> Response:
        return JSONResponse({"detail": exc.detail}, exc.status_code)

    assert (await refusal(app)).body == b'{"detail":"no such room"}'


@pytest.mark.parametrize("acts", [True, False])
async def test_what_has_an_answer_of_its_own(acts: bool, autojump_clock: MockClock) -> None:
    """A handler for WebSocketException may answer otherwise; where it does not, the usual answer follows."""
    app = app_that_raises(WebSocketException(4001, "first"), accept=True)

    @app.exception_handler(WebSocketException)
    async def handler(websocket: WebSocket, exc: WebSocketException) -> None:
        if acts:
            await websocket.close(4002, f"not {exc.code}")

    assert await goodbye(app) == ((4002, "not 4001") if acts else (4001, "first"))


async def test_errors_of_clients(autojump_clock: MockClock) -> None:
    """Values and messages that do not fit may be answered by handlers."""
    app = App()

    @app.websocket("/{number}")
    async def endpoint(websocket: WebSocket, number: int) -> None:
        await websocket.accept()
        await websocket.receive_json()

    @app.exception_handler(InvalidParameter)
    async def bad_value(websocket: WebSocket, exc: InvalidParameter) -> Response:
        return PlainTextResponse("a number, please", 400)

    @app.exception_handler(InvalidData)
    async def bad_message(websocket: WebSocket, exc: InvalidData) -> None:
        await websocket.send_text("JSON, please")

    with pytest.raises(HandshakeRefused, match="a number, please"):
        async with connect(app, "/x"):
            pass
    async with connect(app, "/1") as client:
        await client.send("{")
        assert await client.receive() == "JSON, please"
        assert (await client.wait_closed()).code == 1007


@pytest.mark.parametrize("where", ["on_connect", "on_receive", "child", "concurrent", "on_disconnect", "hook", "group"])
async def test_wherever_it_is_raised(where: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A handler is called once for an error in any hook, in a task, and out of a nursery."""
    app, calls = App(), []

    @app.exception_handler(OutOfTeaError)
    async def handler(websocket: WebSocket, exc: OutOfTeaError) -> None:
        calls.append(exc)

    @app.before_request(websocket=True)
    async def hook(websocket: WebSocket) -> None:
        await websocket.accept()
        if where == "hook":
            raise OutOfTeaError

    async def fail() -> None:
        raise OutOfTeaError

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        concurrency = 2 if where == "concurrent" else 1

        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            if where == "on_connect":
                await fail()
            if where == "child":
                self.start_soon(fail)
            if where == "group":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(fail)

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            if where in ("on_receive", "concurrent"):
                await fail()
            await websocket.close()

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            if where == "on_disconnect":
                await fail()

    async with connect(app) as client:
        if where in ("on_receive", "concurrent", "on_disconnect"):
            await client.send("")
        await client.wait_closed()
    assert [type(call) for call in calls] == [OutOfTeaError]
    assert errors_in(caplog) == []


async def test_apps_in_apps(autojump_clock: MockClock) -> None:
    """The inner app's handler is asked first, then the outer one's."""
    outer, inner = App(), app_that_raises(OutOfGreenTeaError(), accept=True)
    other = app_that_raises(OutOfTeaError(), accept=True)

    @outer.exception_handler(OutOfTeaError)
    async def of_the_outer(websocket: WebSocket, exc: Exception) -> None:
        await websocket.close(4001)

    @inner.exception_handler(OutOfGreenTeaError)
    async def of_the_inner(websocket: WebSocket, exc: Exception) -> None:
        await websocket.close(4002)

    outer.mount("/inner", inner)
    outer.mount("/other", other)
    codes = []
    for path in ("/inner/", "/other/"):
        async with connect(outer, path) as client:
            codes.append((await client.wait_closed()).code)
    assert codes == [4002, 4001]


@pytest.mark.parametrize("handled", [True, False])
async def test_inside_starlette(handled: bool, autojump_clock: MockClock) -> None:
    """An endpoint that is mounted in a Starlette application has its handlers."""

    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            raise OutOfTeaError(SECRET)

    async def no_tea(websocket: Any, exc: Exception) -> Response:
        return PlainTextResponse("no tea", 418)

    handlers: Any = {OutOfTeaError: no_tea} if handled else {KeyError: no_tea}
    refused = await refusal(Starlette(routes=[StarletteRoute("/", Endpoint)], exception_handlers=handlers))
    assert refused.status == (418 if handled else 500)


async def test_two_errors_of_one_connection(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A handler is called for each of them, and what no handler is for is logged, whatever was handled before."""
    handled: list[Exception] = []
    app = App()

    @app.exception_handler(OutOfTeaError)
    async def no_tea(websocket: WebSocket, exc: OutOfTeaError) -> None:
        handled.append(exc)

    @app.websocket("/{last}")
    class Endpoint(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            raise OutOfTeaError

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            raise {"tea": OutOfGreenTeaError, "key": KeyError}[websocket.path_params["last"]]

    for last in ("tea", "key"):
        async with connect(app, f"/{last}", raise_app_errors=False) as client:
            await client.send("x")
            await client.wait_closed()
    assert [type(error) for error in handled] == [OutOfTeaError, OutOfGreenTeaError, OutOfTeaError]
    [record] = errors_in(caplog)
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError


@pytest.mark.parametrize("framework", [Starlette, FastAPI])
async def test_handlers_that_a_framework_came_with(framework: Any, autojump_clock: MockClock) -> None:
    """They are for its own endpoints; ours answer as they do in an App."""

    async def no_tea(websocket: Any, exc: Exception) -> Response:
        return PlainTextResponse("no tea", 418)

    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            raise HTTPException(401, "log in")

    app = framework(routes=[StarletteRoute("/", Endpoint)], exception_handlers={OutOfTeaError: no_tea})
    refused = await refusal(app)
    assert (refused.status, refused.body) == (401, b"log in")


def test_mistakes() -> None:
    """What is neither a class of exceptions nor a status is refused where it is written."""
    app = App()
    for wrong in ("404", int, True, BaseException):
        with pytest.raises(TypeError, match="is for a class of exceptions or for a status"):
            app.exception_handler(wrong)(print)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is a function of the connection and the exception"):
        app.add_exception_handler(404, None)  # type: ignore[arg-type]
