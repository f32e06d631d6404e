"""A handshake that the application answers with an HTTP response of its own."""

import pytest
import trio
from trio.testing import MockClock

from tests.server.builders import (
    DATE,
    Client,
    arrive,
    connected,
    read_response,
    server_text,
)
from wsframework import CloseCode, Limits, WebSocketDisconnect
from wsframework.errors import WebSocketStateError
from wsframework.server.upkeep import Upkeep


async def test_a_response() -> None:
    """Head and body go out as they come; after the last part our side of the connection ends."""
    client = arrive(early=b"early")
    headers = [(b"Content-Type", b"text/plain"), (b"Connection", b"keep-alive"), (b"Transfer-Encoding", b"gzip")]
    await client.connection.start_response(401, headers)
    await client.connection.send_body(b"not ", True)
    await client.connection.send_body(b"", True)
    assert client.connection.close_code is None
    assert client.wire.shut == 0
    await client.connection.send_body(b"you", False)
    assert client.wire.shut == 1
    status, fields, body = read_response(client.gets())
    assert (status, body) == (401, b"not you")
    assert fields == {
        b"content-type": b"text/plain",
        b"date": DATE.encode(),
        b"connection": b"close",
        b"transfer-encoding": b"chunked",
    }
    assert client.connection.close_code == CloseCode.ABNORMAL_CLOSURE
    assert client.connection.close_reason == "the handshake was refused"
    assert not client.connection.accepted


@pytest.mark.parametrize(
    ("status", "headers"), [(401, [(b"Content-Length", b"7")]), (204, []), (304, [])], ids=["length", "204", "304"]
)
async def test_a_response_that_needs_no_chunks(status: int, headers: list[tuple[bytes, bytes]]) -> None:
    """Where the head says how long the body is, the body goes out as it is."""
    client = arrive()
    await client.connection.start_response(status, headers)
    await client.connection.send_body(b"not you" if headers else b"", False)
    status_sent, fields, body = read_response(client.gets())
    assert (status_sent, body) == (status, b"not you" if headers else b"")
    assert b"transfer-encoding" not in fields


async def test_a_response_with_a_mistake() -> None:
    """The application is told, nothing has been sent, and it can answer rightly."""
    client = arrive()
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        await client.connection.start_response(401, [(b"X-A", b"\r\n")])
    assert client.gets() == b""
    await client.connection.start_response(401, [])
    await client.connection.send_body(b"", False)
    assert read_response(client.gets())[0] == 401


async def test_a_response_to_a_client_that_is_behind(nursery: trio.Nursery) -> None:
    """Its parts wait for the client, and the end of the connection waits for the last of them."""
    client = arrive()
    client.stops_reading()
    await client.connection.start_response(401, [])
    with trio.CancelScope() as scope:
        scope.cancel()
        await client.connection.send_body(b"never", True)

    async def respond() -> None:
        await client.connection.send_body(b"first ", True)
        await client.connection.send_body(b"last", False)

    nursery.start_soon(respond)
    await trio.testing.wait_all_tasks_blocked()
    assert client.connection.close_code is None
    client.takes()
    await trio.testing.wait_all_tasks_blocked()
    assert read_response(client.gets())[2] == b"first last"
    assert client.wire.shut == 1


async def test_a_response_that_is_left_open() -> None:
    """The end of the application ends it, without a second response; the client sees that it is not whole."""
    client = arrive()
    await client.connection.start_response(401, [])
    await client.connection.send_body(b"half", True)
    client.connection.finish(CloseCode.INTERNAL_ERROR)
    assert client.gets().endswith(b"\r\n\r\n4\r\nhalf\r\n")
    assert client.wire.shut == 1
    assert client.connection.close_code == CloseCode.INTERNAL_ERROR


async def test_a_response_that_is_left_open_for_a_client_that_is_behind() -> None:
    """What it has of it leaves before our side of the connection ends."""
    client = arrive()
    client.stops_reading()
    await client.connection.start_response(401, [])
    client.connection.finish(CloseCode.NORMAL_CLOSURE)
    assert client.wire.shut == 0
    client.takes()
    assert client.gets().startswith(b"HTTP/1.1 401 ")
    assert client.wire.shut == 1


async def open_a_response() -> Client:
    client = arrive()
    await client.connection.start_response(401, [])
    client.gets()
    return client


async def test_accept_behind_a_response() -> None:
    """A handshake that is being refused cannot be accepted: the client would read the 101 as a body."""
    client = await open_a_response()
    with pytest.raises(WebSocketStateError, match="is being refused"):
        await client.connection.accept()
    assert not client.connection.accepted
    assert client.gets() == b""


async def test_a_response_behind_a_response() -> None:
    """There is one."""
    client = await open_a_response()
    with pytest.raises(WebSocketStateError, match="refused once"):
        await client.connection.start_response(402, [])
    assert client.gets() == b""


async def test_a_response_behind_accept() -> None:
    """It is too late for that, and for a body."""
    client = await connected()
    with pytest.raises(WebSocketStateError, match="before it is accepted"):
        await client.connection.start_response(401, [])
    with pytest.raises(WebSocketStateError, match=r"send websocket\.http\.response\.start first"):
        await client.connection.send_body(b"x", False)
    assert client.gets() == b""
    await client.connection.send("still here")
    assert client.gets() == server_text("still here")


async def test_a_response_to_nobody() -> None:
    """A client that has left is told of like anywhere else."""
    client = arrive()
    client.leaves()
    with pytest.raises(WebSocketDisconnect):
        await client.connection.start_response(401, [])
    client = await open_a_response()
    client.leaves()
    with pytest.raises(WebSocketDisconnect):
        await client.connection.send_body(b"x", False)
    assert client.gets() == b""


async def test_a_body_behind_the_last_part() -> None:
    """The response is whole."""
    client = await open_a_response()
    await client.connection.send_body(b"x", False)
    client.gets()
    with pytest.raises(WebSocketDisconnect):
        await client.connection.send_body(b"y", False)
    assert client.gets() == b""


async def test_a_refusal_that_is_taken_slowly_is_not_pinged(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """A client that is being refused speaks no WebSocket: whatever it takes its time for, it gets no ping."""
    client = arrive(upkeep, Limits(write_timeout=5, ping_interval=1))
    client.stops_reading()
    async with trio.open_nursery() as nursery:
        await client.connection.start_response(418, [])
        nursery.start_soon(client.connection.send_body, b"x" * 300_000, True)
        for _ in range(4):
            await trio.sleep(4)
            client.takes(70_000)
        client.takes()
    assert client.connection.close_code is None
    assert client.gets().count(b"x") == 300_000
    assert not client.gets()
