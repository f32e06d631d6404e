"""An application behind our HTTP/2, in memory and so on virtual time, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from tests.net.http2.client import HTTP2Client, connected
from tests.net.servers import make_config
from wsframework import Limits
from wsframework.server.reception import Reception
from wsframework.server.scope import Peers
from wsframework.testing.streams import WINDOW, memory_connection

PEERS = Peers(client=("192.0.2.7", 5000))


class Site:
    """A server with one client.

    Attributes:
        client: speaks HTTP/2 with it.
        theirs: the client's end of the connection.
        reception: the server.
        ended: the server has no connection any more.
    """

    def __init__(self, app: Any, limits: Limits, window: int, **options: Any) -> None:
        self.reception = Reception(app, make_config(**options), limits, {})
        self.ours, self.theirs = memory_connection(window)
        self.client: HTTP2Client
        self.ended = trio.Event()
        self._scope = trio.CancelScope()

    def stop(self) -> None:
        """Cancel the server."""
        self._scope.cancel()

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        with self._scope:
            async with self.reception.running() as nursery:
                nursery.start_soon(self.reception.handle_stream, self.ours, PEERS)
                task_status.started()
                await trio.sleep_forever()
        self.ended.set()


@asynccontextmanager
async def site(app: Any, limits: Limits | None = None, window: int = WINDOW, **options: Any) -> AsyncIterator[Site]:
    """Serve one connection inside the block. ``options`` are attributes of hypercorn's ``Config``."""
    here = Site(app, limits or Limits(), window, **options)
    theirs: Any = here.theirs  # no socket
    async with trio.open_nursery() as nursery:
        await nursery.start(here.run)
        async with connected(theirs) as here.client:
            yield here
        await wait_all_tasks_blocked()
        here.stop()


@asynccontextmanager
async def serving(app: Any, limits: Limits | None = None) -> AsyncIterator[HTTP2Client]:
    """The same, for a test that needs only the client."""
    async with site(app, limits) as here:
        yield here.client
