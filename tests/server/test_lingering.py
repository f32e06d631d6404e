"""Who is refused gets the whole answer, whatever is in its way."""

from __future__ import annotations

import pytest

from tests.server.builders import StartableFakeWire
from wsframework.errors import RequestError
from wsframework.server.head.response import encode_refusal
from wsframework.server.lingering import LingeringClose

ERROR = RequestError(400, "No.")


class Client:
    """A client that is refused.

    Attributes:
        gone: how often its socket was let go.
    """

    def __init__(self) -> None:
        self.wire = StartableFakeWire()
        self.gone = 0
        self.goodbye = LingeringClose(self.wire, self._count)

    def _count(self) -> None:
        self.gone += 1


@pytest.fixture
def client() -> Client:
    return Client()


def test_an_answer_that_fits(client: Client) -> None:
    """It leaves at once, and behind it our direction ends."""
    client.goodbye.answer(ERROR)
    assert client.wire.sent == encode_refusal(ERROR)
    assert (client.wire.shut, client.gone) == (1, 0)
    client.goodbye.received(b"")
    assert (client.wire.closed, client.gone) == (1, 1)


def test_an_answer_that_does_not_fit(client: Client) -> None:
    """On a kept connection, behind answers that a client has not read, it leaves piece by piece."""
    client.wire.room = 0
    client.goodbye.answer(ERROR)
    while client.wire.wanted:
        assert not client.wire.shut
        client.wire.wanted, client.wire.room = False, 7
        client.goodbye.writable()
    assert client.wire.sent == encode_refusal(ERROR)
    assert (client.wire.shut, client.gone) == (1, 0)


@pytest.mark.parametrize("room", [None, 7])
def test_nobody_is_there(client: Client, room: int | None) -> None:
    """The socket is let go, once, at the first write or at a later one."""
    client.wire.room, client.wire.broken = room, room is None
    client.goodbye.answer(ERROR)
    client.wire.broken = True
    client.goodbye.writable()
    client.goodbye.writable()
    assert (client.wire.shut, client.wire.closed, client.gone) == (0, 1, 1)
