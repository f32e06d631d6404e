"""What a server has counted."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class ServerStatistics:
    """The numbers of one server since it was started.

    Every connection that was accepted moves exactly one of ``http``, ``lost``, ``refused`` and ``closed`` by one. A
    connection that was handed to the HTTP side stays with ``http``, whatever comes on it later: a WebSocket over
    HTTP/2, or behind a request of HTTP/1.1, is in ``websockets`` while it is open and in none of the others.

    Attributes:
        open: sockets that are open now, of whatever kind.
        websockets: WebSockets that are open now, or are about to be; over HTTP/2 several can share a socket.
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
