"""Errors, and whose fault they are."""

from typing import Any

import pytest

from tests.net.contract.diary import Diary, serving
from tests.net.echo import Echo
from tests.net.observing import errors_in
from tests.net.servers import MEBIBYTE, Kind
from wsframework import CloseCode, Limits, WebSocket, WebSocketEndpoint
from wsframework.testing import HandshakeRefused


async def test_hook_raises(kind: Kind, diary: Diary, caplog: pytest.LogCaptureFixture) -> None:
    """An error in a hook closes its connection with 1011 and no word of the error; it is logged once; others go on."""

    class Fragile(Echo):
        async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
            if data == "break":
                raise LookupError("the secret of the house")
            await super().on_receive(websocket, data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Fragile)) as served, served.connect() as other:
        async with served.connect() as client:
            await client.send("break")
            end = await client.wait_closed()
            assert (end.code, end.reason) == (CloseCode.INTERNAL_ERROR, "")
        await diary.wait_for("gone")
        await other.send("still here")
        assert await other.receive() == "still here"
        assert diary.entries == [("gone", CloseCode.INTERNAL_ERROR)]
    assert len(errors_in(caplog)) == 1


async def test_on_connect_raises(kind: Kind, diary: Diary, caplog: pytest.LogCaptureFixture) -> None:
    """An error before accept is answered with 500, and on_disconnect runs."""

    class Fragile(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            raise LookupError("the secret of the house")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Fragile)) as served:
        with pytest.raises(HandshakeRefused) as refusal:
            async with served.connect():
                pytest.fail("it was accepted")
        await diary.wait_for("gone")
    assert refusal.value.status == 500
    assert b"secret" not in refusal.value.body
    assert diary.entries == [("gone", CloseCode.INTERNAL_ERROR)]
    assert len(errors_in(caplog)) == 1


@pytest.mark.parametrize(
    ("encoding", "message", "code"),
    [
        ("text", b"bytes", CloseCode.UNSUPPORTED_DATA),
        ("bytes", "text", CloseCode.UNSUPPORTED_DATA),
        ("json", "{", CloseCode.INVALID_PAYLOAD),
        (dict[str, int], '{"a": "b"}', CloseCode.INVALID_PAYLOAD),
    ],
    ids=["text", "bytes", "json", "typed"],
)
async def test_data_that_does_not_fit(
    kind: Kind, diary: Diary, caplog: pytest.LogCaptureFixture, encoding: Any, message: str | bytes, code: CloseCode
) -> None:
    """A message that does not fit the encoding closes the connection with the code for that: the client's mistake."""

    class Strict(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            diary.write("handled", data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    Strict.encoding = encoding
    Strict.__init_subclass__()
    async with kind.running(serving(Strict)) as served, served.connect() as client:
        await client.send(message)
        assert (await client.wait_closed()).code == code
        await diary.wait_for("gone")
    assert diary.entries == [("gone", code)]
    assert not errors_in(caplog)


@pytest.fixture
def limited(kind: Kind) -> Kind:
    """A server that keeps our `Limits`. A skip in an async test would lose its reason, so it is here."""
    if kind.stock:
        pytest.skip("hypercorn has a limit of its own, 16 MiB by default, and inflates before it looks")
    return kind


async def test_message_that_is_too_big(limited: Kind, caplog: pytest.LogCaptureFixture) -> None:
    """A message beyond the limit closes with 1009, and the client gets to read that."""
    limits = Limits(message=MEBIBYTE // 4)
    async with limited.running(serving(Echo), limits) as served, served.connect() as client:
        await client.send(b"x" * limits.message)
        await client.receive()
        await client.send(b"x" * (limits.message * 16))
        assert (await client.wait_closed()).code == CloseCode.MESSAGE_TOO_BIG
    assert not errors_in(caplog)
