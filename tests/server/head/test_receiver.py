"""A request head is waited for without a task, and given up once."""

from __future__ import annotations

from typing import Any

from tests.server.builders import StartableFakeWire
from wsframework import Limits
from wsframework.errors import RequestError
from wsframework.server.admission import Admission
from wsframework.server.head.receiver import HeadReceiver
from wsframework.server.scope import Peers


class Callers:
    """Whoever the receiver hands a connection on to.

    Attributes:
        arrived: what has come.
        refused: what could not be served.
    """

    def __init__(self) -> None:
        self.arrived: list[Any] = []
        self.refused: list[RequestError] = []
        self.admission = Admission(Limits())
        self.wire = StartableFakeWire()
        visit = self.admission.admit(Peers())
        assert visit is not None
        self.receiver = HeadReceiver(
            self.wire,
            visit,
            Limits(),
            lambda wire, visit, arrival: self.arrived.append(arrival),
            lambda wire, visit, error: self.refused.append(error),
        )


def test_what_comes_behind_a_head_that_was_refused_is_nobody_s() -> None:
    """It may have been on its way before anybody else receives from the wire."""
    callers = Callers()
    callers.receiver.received(b"no request\r\n\r\n")
    assert [error.status for error in callers.refused] == [400]
    callers.receiver.received(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    callers.receiver.received(b"")
    assert (len(callers.refused), callers.arrived) == (1, [])
    assert callers.admission.open == 1, "the socket is still there, for the answer"


def test_nothing_comes() -> None:
    """There is nobody to answer, so the socket is let go, and counted as lost."""
    callers = Callers()
    callers.receiver.received(b"")
    assert (callers.wire.closed, callers.admission.open, callers.admission.lost) == (1, 0, 1)
    assert not callers.refused
