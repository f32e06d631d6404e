"""What each call does in each state: the table of the reference, cell by cell, on our server and behind middleware."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from trio.testing import MockClock

from wsframework import App, WebSocket, WebSocketDisconnect, WebSocketStateError
from wsframework.testing import Client, HandshakeRefused, connect

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "websocket.md"
TABLE = PAGE.read_text("utf-8").partition("## States")[2]


def read_table() -> dict[tuple[str, str], str]:
    """Return the cells of the table of calls by row and column."""
    rows = [[cell.strip() for cell in line.strip()[1:-1].split(" | ")] for line in re.findall(r"^\|.*$", TABLE, re.M)]
    head, _, *body = rows
    return {(row[0], state): cell for row in body for state, cell in zip(head[1:], row[1:], strict=True)}


CELLS = read_table()

# How a state is reached: what the client does, and what the endpoint does.


async def wait_until_closed(websocket: WebSocket) -> None:
    while websocket.close_code is None:  # noqa: ASYNC110 - nobody receives who would be told
        await trio.sleep(0.01)


async def connecting(websocket: WebSocket) -> None:
    pass


async def accepted(websocket: WebSocket) -> None:
    await websocket.accept()


async def messages_wait(websocket: WebSocket) -> None:
    await websocket.accept()
    await wait_until_closed(websocket)


async def closed_by_the_client(websocket: WebSocket) -> None:
    await messages_wait(websocket)
    assert await websocket.receive_text() == "hello"
    with pytest.raises(WebSocketDisconnect):
        await websocket.receive_text()


async def closed_by_us(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close(4000, "enough")


async def refused(websocket: WebSocket) -> None:
    await websocket.close()


async def denied(websocket: WebSocket) -> None:
    await websocket.send_denial_response(PlainTextResponse("no", 401))


REACH: dict[str, list[Callable[[WebSocket], Awaitable[None]]]] = {
    "connecting": [connecting],
    "accepted": [accepted],
    "closed by the client, messages wait": [messages_wait],
    "closed by the client": [closed_by_the_client],
    "closed by us": [closed_by_us],
    "refused": [refused, denied],
}

# What is called. Each returns a cell's words, if it does not raise.


async def accept(websocket: WebSocket) -> str:
    await websocket.accept()
    return "accepts"


async def receive(websocket: WebSocket) -> str:
    assert await websocket.receive_text() == "hello"
    return "the next message"


async def receive_raw(websocket: WebSocket) -> str:
    event = await websocket.receive()
    return "the next event" if event["type"] == "websocket.receive" else f"a {event['type'].split('.')[1]} event"


async def iterate(websocket: WebSocket) -> str:
    async for message in websocket:
        assert message == "hello"
        return "the next message"
    return "ends"


async def send(websocket: WebSocket) -> str:
    await websocket.send_text("answer")
    return "sends"


async def ping(websocket: WebSocket) -> str:
    await websocket.ping()
    return "measures"


async def close(websocket: WebSocket) -> str:
    before = websocket.close_code, websocket.close_reason
    accepted = websocket.transport.accepted
    could_send = accepted and await outcome_of(send, websocket) == "sends"
    await websocket.close(4999, "now")
    if (websocket.close_code, websocket.close_reason) == before:
        answers = could_send and await outcome_of(send, websocket) != "sends"
        return "answers the client's close" if answers else "does nothing"
    return "closes" if accepted else "refuses with 403"


async def deny(websocket: WebSocket) -> str:
    await websocket.send_denial_response(PlainTextResponse("no", 402))
    return "refuses"


async def start(websocket: WebSocket) -> str:
    outcome = "cancelled at once"

    async def child() -> None:
        nonlocal outcome
        await trio.lowlevel.checkpoint()
        outcome = "starts"

    websocket.start_soon(child)
    await trio.testing.wait_all_tasks_blocked(0.001)
    return outcome


async def subscribe(websocket: WebSocket) -> str:
    await websocket.app.hub.subscribe(websocket, "topic")
    return "subscribes"


async def client_state(websocket: WebSocket) -> str:
    assert websocket.client_state == websocket.application_state
    return f"`{websocket.client_state.name}`"


async def close_code(websocket: WebSocket) -> str:
    return str(websocket.close_code)


CALLS: dict[str, Callable[[WebSocket], Awaitable[str]]] = {
    "`client_state`": client_state,
    "`close_code`": close_code,
    "`accept`": accept,
    "`send_denial_response`": deny,
    "`receive_*`": receive,
    "`receive`": receive_raw,
    "`async for`": iterate,
    "`send_*`": send,
    "`ping`": ping,
    "`close`": close,
    "`start_soon`": start,
    "`Hub.subscribe`": subscribe,
}


class Wrap:
    """Middleware that wraps the connection, so that it is that of any ASGI server for what stands inside."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def tell(event: Any) -> None:
            await send(event)

        await self._app(scope, receive, tell)


async def outcome_of(call: Callable[[WebSocket], Awaitable[str]], websocket: WebSocket) -> str:
    try:
        return await call(websocket)
    except WebSocketStateError:
        return "`WebSocketStateError`"
    except WebSocketDisconnect:
        return "`WebSocketDisconnect`"


async def play_client(client: Client, leaves: bool) -> None:
    await client.send("hello")
    if leaves:
        await client.close(4001)
    else:
        await trio.sleep(0.5)


def test_the_table_is_complete() -> None:
    """It has a cell for each of these calls in each of these states, and no others."""
    assert set(CELLS) == {(call, state) for call in CALLS for state in REACH}


@pytest.mark.parametrize("middleware", [[], [Middleware(Wrap)]], ids=["direct", "wrapped"])
@pytest.mark.parametrize(
    ("call", "state", "way"),
    [(call, state, way) for call, state in CELLS for way in REACH[state]],
    ids=lambda value: value.__name__ if callable(value) else value.strip("`"),
)
async def test_cell(
    call: str, state: str, way: Callable[[WebSocket], Awaitable[None]], middleware: Any, autojump_clock: MockClock
) -> None:
    """The call does what the table says."""
    outcomes: list[str] = []
    app = App(middleware=middleware)

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        await way(websocket)
        outcomes.append(await outcome_of(CALLS[call], websocket))

    try:
        async with connect(app, raise_app_errors=False) as client:
            await play_client(client, leaves="client" in state)
    except (HandshakeRefused, WebSocketDisconnect):
        pass
    expected = CELLS[call, state]
    if call == "`ping`" and middleware:
        expected = expected.replace("measures", "`WebSocketStateError`")
    if call == "`send_*`" and middleware:  # what is read ahead there is the end as well
        expected = "`WebSocketDisconnect`" if state == "closed by the client, messages wait" else expected
    if call == "`close`" and middleware:
        expected = expected.replace("answers the client's close", "does nothing")
    if call == "`close_code`" and way is denied:
        expected = "1006"
    assert outcomes == [expected]
