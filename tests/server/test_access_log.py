"""One line for each connection: what is in it, and what a client cannot put into it."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import Any

import pytest
import trio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from trio.testing import MockClock

from tests.server.lines import Lines
from wsframework import App, CloseCode, WebSocket, WebSocketEndpoint, WebSocketException
from wsframework.access_log import ACCESS_LEVEL, ACCESS_REASON, AccessRecord, JSONFormatter, escape, logger
from wsframework.server.access import HTTPAccess
from wsframework.testing import HandshakeRefused, connect

HTTP_SCOPE = {
    "type": "http",
    "client": ("192.0.2.7", 5000),
    "method": "POST",
    "path": "/a path",
    "raw_path": b"/a%20path",
    "query_string": b"token=secret",
    "http_version": "1.1",
}


class Echo(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await trio.sleep(0.5)
        await websocket.send_text(data + data)


async def test_a_connection_is_one_line(autojump_clock: MockClock, lines: Lines) -> None:
    """Who, what, how it ended, how long it took, and messages and bytes each way, in one line when it has ended."""
    async with connect(Echo, "/chat/room%201?token=secret") as client:
        await client.send("four")
        assert await client.receive() == "fourfour"
        assert lines.records == []
        await client.close(4001, "enough")
    [line] = lines.text
    # A masked frame has 6 bytes of header, an unmasked one 2, and a close frame carries 2 bytes and the reason.
    assert line == '127.0.0.1:50000 "GET /chat/room%201" 101 -> 4001 0.500s in 1/24B out 1/20B "enough"'
    [record] = lines.records
    assert (record.name, record.levelname) == ("wsframework.access", "INFO")


async def test_a_refusal_has_its_status(lines: Lines) -> None:
    """A handshake that is refused has the HTTP status and no close code."""

    async def no(websocket: WebSocket) -> None:
        await websocket.close()

    app = App()
    app.websocket("/no")(no)
    for path in ("/no", "/nowhere"):
        with pytest.raises(HandshakeRefused):
            async with connect(app, path):
                pass
    first, second = lines.access
    assert (first.status, first.close_code, first.messages_in) == (403, None, None)
    assert (second.status, second.path) == (404, "/nowhere")
    assert lines.text[0].startswith('127.0.0.1:50000 "GET /no" 403 0.0')


async def test_a_refusal_says_why(lines: Lines) -> None:
    """What close or an exception was given is in the line, and what the check of origins or a response left there."""

    async def closed(websocket: WebSocket) -> None:
        await websocket.close(CloseCode.POLICY_VIOLATION, "the room is full")

    async def raised(websocket: WebSocket) -> None:
        raise WebSocketException(CloseCode.POLICY_VIOLATION, "no such user")

    async def unauthorized(websocket: WebSocket) -> None:
        raise HTTPException(401, "the token\n has expired")

    async def denied(websocket: WebSocket) -> None:
        websocket.scope[ACCESS_REASON] = "a bad day"
        await websocket.send_denial_response(PlainTextResponse("go away", 418))

    async def failed(websocket: WebSocket) -> None:
        raise LookupError("the secret of the house")

    async def silent(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("go away", 418))

    app = App()
    handlers = (closed, raised, unauthorized, denied, failed, silent)
    for handler in handlers:
        app.websocket(f"/{handler.__name__}")(handler)
    for handler in handlers:
        with pytest.raises(HandshakeRefused):
            async with connect(app, f"/{handler.__name__}", raise_app_errors=False):
                pass
    with pytest.raises(HandshakeRefused):
        async with connect(app, "/closed", headers={"Origin": "https://evil.example"}):
            pass
    assert [(record.status, record.close_reason) for record in lines.access] == [
        (403, "the room is full"),
        (403, "no such user"),
        (401, "the token\\n has expired"),
        (418, "a bad day"),
        (500, ""),
        (418, ""),
        (403, "This Origin is not allowed."),
    ]
    assert {record.close_code for record in lines.access} == {None}


async def test_the_client_is_the_one_that_the_application_saw(lines: Lines) -> None:
    """Whoever corrects the address in the scope, such as for a proxy, corrects the line."""

    async def behind_proxy(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            scope["client"] = ("2001:db8::1", 7)
        await Echo(scope, receive, send)

    async with connect(behind_proxy):
        pass
    [record] = lines.access
    assert record.client == "[2001:db8::1]:7"


async def test_an_application_may_choose_the_level(lines: Lines) -> None:
    """A level in the scope is that of the line, and below INFO it is not shown."""

    async def quiet(scope: Any, receive: Any, send: Any) -> None:
        scope[ACCESS_LEVEL] = logging.DEBUG
        await Echo(scope, receive, send)

    async with connect(quiet):
        pass
    assert lines.records == []


async def test_nothing_is_computed_for_a_log_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the logger is not enabled for INFO, which is so unless somebody asks, no record is made."""

    made: list[dict[str, Any]] = []

    def make(**fields: Any) -> AccessRecord:
        made.append(fields)
        return AccessRecord(**fields)

    monkeypatch.setattr("wsframework.server.access.AccessRecord", make)
    for disabled, count in ((False, 1), (True, 0)):
        monkeypatch.setattr(logger, "level", logging.INFO)
        monkeypatch.setattr(logger, "disabled", disabled)
        logger.manager._clear_cache()  # type: ignore[attr-defined] # what setLevel does
        made.clear()
        async with connect(Echo):
            pass
        await exchange(answer, dict(HTTP_SCOPE))
        assert len(made) == 2 * count
    monkeypatch.undo()
    logger.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "reason", ['forged\n2026-01-01 127.0.0.1 "GET /admin" 200', "\x1b[2J", "\u202egnp.exe", 'a"b', "\x7f", "\\n"]
)
async def test_a_client_cannot_forge_a_line(lines: Lines, reason: str) -> None:
    """Whatever a client says as it leaves, the log has one line, printable and ASCII, in text and in JSON."""
    async with connect(Echo) as client:
        await client.close(4000, reason)
    [line] = lines.text
    assert line.isascii()
    assert line.isprintable()
    assert line.count('"') - line.count('\\"') == 4
    made = JSONFormatter().format(lines.records[0])
    assert made.isascii()
    assert made.isprintable()
    assert json.loads(made)["close_reason"] == escape(reason)


async def test_a_queue_handler_can_carry_it(lines: Lines) -> None:
    """A record survives the way through a queue, where another thread writes it: the text is made before."""
    queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
    handler = QueueHandler(queue)
    logger.addHandler(handler)
    try:
        async with connect(Echo):
            pass
    finally:
        logger.removeHandler(handler)
    record = queue.get_nowait()
    assert record.getMessage() == lines.text[0]
    assert json.loads(JSONFormatter().format(record))["type"] == "websocket"


# HTTP

Application = Callable[[Any, Any, Any], Awaitable[None]]


async def exchange(app: Application, scope: dict[str, Any], *bodies: bytes) -> list[Any]:
    """Send a request through the wrapper, and return the events of the answer."""
    sent: list[Any] = []
    events = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
    events.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return events.pop(0)

    async def send(event: Any) -> None:
        sent.append(event)

    await HTTPAccess(app)(scope, receive, send)
    return sent


async def answer(scope: Any, receive: Any, send: Any) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(body * 2, status_code=201)(scope, receive, send)


async def test_an_http_request_is_a_line(lines: Lines) -> None:
    """It has the method, the path as it came, the status, and the size of both bodies."""
    sent = await exchange(answer, dict(HTTP_SCOPE), b"abc", b"def")
    assert [event["type"] for event in sent] == ["http.response.start", "http.response.body"]
    [record] = lines.access
    assert (record.type, record.client, record.method, record.path) == ("http", "192.0.2.7:5000", "POST", "/a%20path")
    assert (record.status, record.bytes_in, record.bytes_out) == (201, 6, 12)
    assert "secret" not in lines.text[0]


async def test_a_method_is_escaped_too(lines: Lines) -> None:
    """A method is whatever the client calls it."""
    await exchange(answer, {**HTTP_SCOPE, "method": "GE\x1bT", "raw_path": None})
    assert lines.text[0].startswith('192.0.2.7:5000 "GE\\x1bT /a path" 201')


async def test_an_application_that_fails_is_a_line(lines: Lines) -> None:
    """What it raises goes on to the server, which answers with 500."""

    async def fail(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await exchange(fail, dict(HTTP_SCOPE))
    assert [record.status for record in lines.access] == [500]


@pytest.mark.parametrize("fails", [True, False])
async def test_what_is_answered_to_nobody_is_no_status(lines: Lines, fails: bool) -> None:
    """A framework may answer 500, or fail, because the client has left: that is not how the request ended."""

    async def late(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.disconnect"
        if fails:
            raise LookupError
        await PlainTextResponse("Internal Server Error", status_code=500)(scope, receive, send)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        pass

    with nullcontext() if not fails else pytest.raises(LookupError):
        await HTTPAccess(late)(dict(HTTP_SCOPE), receive, send)
    assert [record.status for record in lines.access] == [None]


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_client_that_leaves_is_no_error(lines: Lines, enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starlette's exception for it ends here, or the server below would log it as the application's failure."""

    async def leave(scope: Any, receive: Any, send: Any) -> None:
        raise ClientDisconnect

    monkeypatch.setattr(logger, "disabled", not enabled)
    assert await exchange(leave, dict(HTTP_SCOPE)) == []
    assert [record.status for record in lines.access] == ([None] if enabled else [])
