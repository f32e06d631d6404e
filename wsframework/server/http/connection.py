"""hypercorn's connection, on a stream whose peers are known: what HTTP/1.1 and HTTP/2 have in common.

This module knows hypercorn's inner class `TCPServer`.
"""

from __future__ import annotations

from typing import Any

import attrs
from hypercorn.config import Config
from hypercorn.events import Event, Updated
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from ..scope import Peers


@attrs.frozen
class ServedApp:
    """What all connections of a server share.

    Attributes:
        app: the application, wrapped for hypercorn.
        config: the configuration.
        context: says when the server stops.
    """

    app: Any
    config: Config
    context: WorkerContext


class HTTPConnection(TCPServer):
    """A connection that hypercorn serves. What it sends may meet a client that has just left.

    Args:
        served: the application.
        state: the lifespan's.
        stream: the client.
        peers: who it is.
    """

    stream: Any

    def __init__(self, served: ServedApp, state: ConnectionState, stream: Any, peers: Peers) -> None:
        super().__init__(served.app, served.config, served.context, state, stream)
        self._peers = peers

    async def protocol_send(self, event: Event) -> None:
        try:
            await super().protocol_send(event)
        except RuntimeError:
            # When the client has left just before the end of an answer, hypercorn starts its idle timer in a nursery
            # that has closed, and logs that as a failure of the application.
            if not isinstance(event, Updated):
                raise
