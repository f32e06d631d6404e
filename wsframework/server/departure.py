"""The last thing that happens to a connection: it is counted, and logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from ..close import CloseCode
from .access import log_websocket
from .admission import Visit
from .connection import Connection
from .containment import log_failure


class Departure:
    """Is called when a connection is gone, as its ``on_gone``.

    There is one for every connection, which is why it is an object with slots and no closure.

    Args:
        scope: what the application knows of the connection.
        visit: its visit, if it has one of its own, which most have: one over HTTP/2 is the HTTP side's.
        forget: whoever keeps the connections is told, too.
    """

    __slots__ = ("_began", "_forget", "_scope", "_visit")

    def __init__(self, scope: dict[str, Any], visit: Visit | None, forget: Callable[[Connection], None]) -> None:
        self._scope = scope
        self._visit = visit
        self._forget = forget
        self._began = trio.current_time()

    def __call__(self, connection: Connection) -> None:
        if self._visit is not None:
            _settle(connection, self._visit)
        self._forget(connection)
        try:
            log_websocket(self._scope, connection, self._began)
        except Exception:  # the application may have put anything into its scope
            log_failure()


def _settle(connection: Connection, visit: Visit) -> None:
    """Say how the visit has ended."""
    if connection.accepted:
        visit.closed(connection.close_code or CloseCode.ABNORMAL_CLOSURE)
    elif connection.status:
        visit.refused(connection.status)
    else:
        visit.lost()
    visit.leave()
