"""A connection from its request to its first message: accept, refuse, and what came early."""

import attrs
import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

from tests.server.builders import (
    ACCEPT,
    arrive,
    client_close,
    client_frame,
    client_text,
    connected,
    read_response,
    server_close,
    server_frame,
)
from wsframework import CloseCode, Limits, WebSocketDisconnect
from wsframework.errors import RequestError, WebSocketStateError
from wsframework.server.frames import Opcode
from wsframework.server.head.response import encode_refusal
from wsframework.server.upkeep import Upkeep

LIMITS = Limits()


# Accepting


async def test_accept() -> None:
    """The answer is on its way when accept returns."""
    client = arrive(fields=[b"Sec-WebSocket-Protocol: chat"])
    assert not client.connection.accepted
    assert client.gets() == b""
    await client.connection.accept("chat", [(b"X-Room", b"7")])
    assert client.connection.accepted
    assert client.connection.subprotocol == "chat"
    assert client.gets() == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n"
        b"Sec-WebSocket-Protocol: chat\r\nX-Room: 7\r\n\r\n"
    )


async def test_accept_twice() -> None:
    """Only the first time counts."""
    client = await connected()
    with pytest.raises(WebSocketStateError, match="accept was called twice"):
        await client.connection.accept()
    assert client.gets() == b""


@pytest.mark.parametrize(
    ("subprotocol", "headers", "words"),
    [
        pytest.param("other", [], "was not offered", id="H36"),
        pytest.param(None, [(b"X-A", b"b\r\nX-Evil: 1")], "CR, LF or NUL", id="H35"),
        pytest.param(None, [(b"Upgrade", b"h2c")], "the server's to send", id="ours"),
    ],
)
async def test_accept_with_a_mistake(subprotocol: str | None, headers: list[tuple[bytes, bytes]], words: str) -> None:
    """The application is told, nothing has been sent, and it can accept rightly."""
    client = arrive()
    with pytest.raises(ValueError, match=words):
        await client.connection.accept(subprotocol, headers)
    assert not client.connection.accepted
    assert client.gets() == b""
    await client.connection.accept()
    assert client.gets().startswith(b"HTTP/1.1 101 ")


async def test_accept_when_cancelled() -> None:
    """A cancelled accept has not begun."""
    client = arrive()
    with trio.CancelScope() as scope:
        scope.cancel()
        await client.connection.accept()
    assert scope.cancelled_caught
    assert not client.connection.accepted
    assert client.gets() == b""


@pytest.mark.parametrize("call", ["send", "receive"])
async def test_messages_before_accept(call: str) -> None:
    """They are a mistake, and the message says what is missing."""
    client = arrive()
    with pytest.raises(WebSocketStateError, match=f"{call} before accept"):
        await (client.connection.send("x") if call == "send" else client.connection.receive())
    assert client.gets() == b""


async def test_a_client_that_leaves_before_accept() -> None:
    """Accept tells so, and receive does."""
    client = arrive()
    client.leaves()
    assert client.connection.gone
    assert client.gone == [client.connection]
    for method in (client.connection.accept, client.connection.receive):
        with assert_checkpoints(), pytest.raises(WebSocketDisconnect) as caught:
            await method()
        assert caught.value.code == CloseCode.ABNORMAL_CLOSURE
    assert client.gets() == b""


async def test_a_client_that_is_lost_by_the_answer() -> None:
    """That the socket is dead shows when the answer is written; nothing is read any more."""
    client = arrive(early=client_text("early") + client_frame(Opcode.PING) + client_close(1000))
    client.wire.broken = True
    await client.connection.accept()
    assert client.connection.gone
    with pytest.raises(WebSocketDisconnect, match="1006"):
        await client.connection.receive()
    assert client.wire.closed == 1
    assert client.wire.shut == 0


# What comes early


@pytest.mark.parametrize("how", ["behind the head", "later", "both"])
async def test_h8_early_messages(how: str) -> None:
    """Bytes that come before accept are read after it, in order, also when they are cut inside a frame."""
    data = client_text("one") + client_text("two")
    cut = {"behind the head": len(data), "later": 0, "both": 5}[how]
    client = arrive(early=data[:cut])
    if data[cut:]:
        client.sends(data[cut:])
    await client.connection.accept()
    client.sends(client_text("three"))
    assert [await client.connection.receive() for _ in range(3)] == ["one", "two", "three"]


async def test_early_control_frames() -> None:
    """They are answered behind the answer to the handshake."""
    client = arrive(early=client_frame(Opcode.PING, b"?") + client_close(4000))
    await client.connection.accept()
    answer = client.gets()
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(b"\r\n\r\n" + server_frame(Opcode.PONG, b"?") + server_close(4000))
    assert client.connection.close_code == 4000


async def test_h7_a_stray_early_byte() -> None:
    """It begins a frame."""
    client = arrive(early=b"?")
    await client.connection.accept()
    assert client.gets().endswith(b"\r\n\r\n")
    client.sends(b"?")
    assert client.connection.close_code == CloseCode.PROTOCOL_ERROR


async def test_early_bytes_are_bounded() -> None:
    """At the limit of a request head nothing more is read, until accept."""
    client = arrive(limits=attrs.evolve(LIMITS, request_head=100))
    client.sends(client_frame(Opcode.BINARY, b"x" * 50))
    assert not client.wire.held
    client.sends(client_frame(Opcode.BINARY, b"y" * 50))
    assert client.wire.held
    await client.connection.accept()
    assert not client.wire.held
    assert [await client.connection.receive() for _ in range(2)] == [b"x" * 50, b"y" * 50]


async def test_early_messages_fill_the_inbox() -> None:
    """The bound of the inbox holds for them too."""
    client = arrive(limits=attrs.evolve(LIMITS, inbox_messages=2), early=client_text("x") * 2)
    await client.connection.accept()
    assert client.wire.held


# Refusing


async def test_refuse() -> None:
    """Closing before accept refuses with a 403 that is a whole response, and our side of the connection ends."""
    client = arrive(early=client_text("early"))
    await client.connection.close(4003, "not you")
    status, _, body = read_response(client.gets())
    assert (status, body) == (403, b"The handshake was refused.\n")
    assert client.wire.shut == 1
    assert not client.wire.closed
    assert (client.connection.close_code, client.connection.close_reason) == (4003, "not you")
    with pytest.raises(WebSocketDisconnect):
        await client.connection.accept()
    assert client.gets() == b""


async def test_what_a_refused_client_says() -> None:
    """It is thrown away, however much it is, and reading goes on so that the refusal is not lost to a reset."""
    client = arrive(limits=attrs.evolve(LIMITS, request_head=100))
    client.sends(b"x" * 200)
    assert client.wire.held
    await client.connection.close()
    assert not client.wire.held
    client.gets()
    for _ in range(10):
        client.sends(client_frame(Opcode.PING, b"?"), client_frame(Opcode.TEXT, b"x" * 1000))
    assert not client.wire.held
    assert client.gets() == b""
    client.leaves()
    assert client.wire.closed == 1


async def test_a_refused_client_that_does_not_go(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """It has as long as for the answer to a close frame."""
    client = arrive(upkeep)
    await client.connection.close()
    await trio.sleep(LIMITS.close_timeout - 0.1)
    assert not client.connection.gone
    await trio.sleep(0.2)
    assert client.connection.gone
    assert client.wire.closed == 1
    assert client.gone == [client.connection]


async def test_refuse_with_an_error_of_ones_own() -> None:
    """The server chooses status and fields; close code and reason stay on our side."""
    client = arrive()
    error = RequestError(503, "Try later.", ((b"Retry-After", b"5"),))
    client.connection.refuse(error, CloseCode.SERVICE_RESTART, "draining")
    assert client.gets() == encode_refusal(error)
    assert (client.connection.close_code, client.connection.close_reason) == (1012, "draining")
    client.connection.refuse(error)
    await client.connection.close(4000)
    assert client.gets() == b""
    assert client.connection.close_code == 1012


async def test_refuse_after_accept() -> None:
    """It is too late for that."""
    client = await connected()
    client.connection.refuse(RequestError(503, "Try later."))
    assert client.gets() == b""
    assert client.connection.close_code is None


@pytest.mark.parametrize(
    ("code", "status"),
    [(CloseCode.INTERNAL_ERROR, 500), (CloseCode.NORMAL_CLOSURE, 403), (CloseCode.GOING_AWAY, 503)],
)
async def test_an_application_that_does_not_answer(code: CloseCode, status: int) -> None:
    """Its end is answered for it, 500 if it failed."""
    client = arrive()
    client.connection.finish(code)
    assert read_response(client.gets())[0] == status
    assert client.connection.close_code == code
