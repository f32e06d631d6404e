"""A whole server with one client, in memory and so on virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from tests.net.servers import make_config
from wsframework import Limits
from wsframework.server.reception import Reception
from wsframework.server.scope import Peers
from wsframework.testing.streams import WINDOW, memory_connection

PEERS = Peers(client=("192.0.2.7", 5000))


class Site:
    """A server and a connection to it. `running` makes one.

    Attributes:
        reception: the server.
        theirs: the client's end of the connection.
        ended: the server has no connection any more.
    """

    def __init__(self, app: Any, limits: Limits, window: int, **options: Any) -> None:
        self.reception = Reception(app, make_config(**options), limits, {})
        self.ours, self.theirs = memory_connection(window)
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
async def running(app: Any, limits: Limits | None = None, window: int = WINDOW, **options: Any) -> AsyncIterator[Site]:
    """Serve one connection inside the block. ``options`` are attributes of hypercorn's ``Config``."""
    site = Site(app, limits or Limits(), window, **options)
    async with trio.open_nursery() as nursery:
        await nursery.start(site.run)
        async with site.theirs:
            yield site
        await wait_all_tasks_blocked()
        site.stop()
