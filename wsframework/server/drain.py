"""The drain's close frames: what is queued goes first, and not everybody is told in the same moment."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

import trio

from ..errors import RequestError
from .connection import Connection

# The time between two lots of close frames, and the part of the drain's time they may take.
_STEP = 0.01
_SPREAD = 0.5


def stopping() -> RequestError:
    """Say that there are no more WebSockets here; a new one each time, since a raised error collects where it was."""
    return RequestError(503, "The server is stopping.", ((b"Retry-After", b"1"),))


async def see_off(connections: Iterable[Connection], code: int, reason: str, seconds: float) -> None:
    """Close these connections behind what is queued for their clients, in lots, over half of so many seconds.

    If all clients came back in the same moment, they would meet the next server at its weakest.
    """
    waiting = list(connections)
    lot = max(1, ceil(len(waiting) * _STEP / (seconds * _SPREAD)))
    for at in range(0, len(waiting), lot):
        for connection in waiting[at : at + lot]:
            _see_off(connection, code, reason)
        await trio.sleep(_STEP)


def _see_off(connection: Connection, code: int, reason: str) -> None:
    if not connection.accepted:
        connection.refuse(stopping(), code, reason)
        return
    if connection.mailbox is not None:
        connection.mailbox.empty()
    connection.cut_off(code, reason)
