"""What a server has counted."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class ServerStatistics:
    """The numbers of one server since it was started.

    Every connection that was accepted moves exactly one of ``http``, ``lost``, ``refused`` and ``closed`` by one.

    Attributes:
        open: sockets that are open now, of whatever kind.
        websockets: how many of them are WebSockets, or are about to be.
        accepted: connections that came.
        http: connections that were handed to the HTTP side.
        lost: clients that left, said nothing in time, or failed at TLS, before anything could be answered.
        refused: requests that were refused before they became a WebSocket, by HTTP status.
        closed: WebSockets that have ended, by close code.
    """

    open: int
    websockets: int
    accepted: int
    http: int
    lost: int
    refused: Mapping[int, int]
    closed: Mapping[int, int]
