"""Who is refused at the door gets the whole answer, whatever is in its way."""

from __future__ import annotations

import pytest

from tests.server import builders
from wsframework.errors import RequestError
from wsframework.server.door import Refusal
from wsframework.server.handshake import encode_refusal
from wsframework.server.wire import Receiver

ERROR = RequestError(400, "No.")


class FakeWire(builders.FakeWire):
    """A wire that can be started."""

    behind = False

    def start(self, receiver: Receiver) -> None:
        """Nothing comes by itself."""


class Door:
    """A client that is refused.

    Attributes:
        gone: how often its socket was let go.
    """

    def __init__(self) -> None:
        self.wire = FakeWire()
        self.gone = 0
        self.refusal = Refusal(self.wire, self._count)

    def _count(self) -> None:
        self.gone += 1


@pytest.fixture
def door() -> Door:
    return Door()


def test_an_answer_that_fits(door: Door) -> None:
    """It leaves at once, and behind it our direction ends."""
    door.refusal.say(ERROR)
    assert door.wire.sent == encode_refusal(ERROR)
    assert (door.wire.shut, door.gone) == (1, 0)
    door.refusal.received(b"")
    assert (door.wire.closed, door.gone) == (1, 1)


def test_an_answer_that_does_not_fit(door: Door) -> None:
    """On a kept connection, behind answers that a client has not read, it leaves piece by piece."""
    door.wire.room = 0
    door.refusal.say(ERROR)
    while door.wire.wanted:
        assert not door.wire.shut
        door.wire.wanted, door.wire.room = False, 7
        door.refusal.writable()
    assert door.wire.sent == encode_refusal(ERROR)
    assert (door.wire.shut, door.gone) == (1, 0)


@pytest.mark.parametrize("room", [None, 7])
def test_nobody_is_there(door: Door, room: int | None) -> None:
    """The socket is let go, once, at the first write or at a later one."""
    door.wire.room, door.wire.broken = room, room is None
    door.refusal.say(ERROR)
    door.wire.broken = True
    door.refusal.writable()
    door.refusal.writable()
    assert (door.wire.shut, door.wire.closed, door.gone) == (0, 1, 1)
