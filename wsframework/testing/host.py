"""Where an application lives while clients of a test are connected to it.

It lives in a system task, and each connection in a task of its own beside it, not in the tasks of the clients: so
clients may come and go in any order and in any task, and none of them waits for another or falls with it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import Any

import attrs
import trio
from hypercorn.config import Config
from trio.lowlevel import RunVar, spawn_system_task

from ..limits import Limits
from ..server.lifespan import run_lifespan
from ..server.reception import Reception
from ..server.scope import Peers

_PEERS = Peers(("127.0.0.1", 50000), ("127.0.0.1", 80))

# What an application may take to end when its client has left: the graces of a whole inbox, and a goodbye.
PATIENCE = 120.0


@attrs.define(eq=False)
class Service:
    """One connection, as the application serves it. ``errors`` are what it raised meanwhile."""

    errors: list[BaseException] = attrs.field(factory=list)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _ended: trio.Event = attrs.field(factory=trio.Event)

    async def run(self, reception: Reception, stream: trio.abc.Stream) -> None:
        try:
            with self._scope:
                # No buffer besides the window, so that a test says how much may be on its way.
                await reception.handle_stream(stream, _PEERS, self.errors.append, buffer=0)
        except* trio.Cancelled:
            raise
        except* BaseException as group:  # pytest.fail in a hook is no Exception, but this test's business only
            self.errors.append(_take_out(group))
        finally:
            self._ended.set()

    async def end(self) -> bool:
        """Wait until the application is done with this connection. False: it had to be cancelled."""
        if trio.current_effective_deadline() == -math.inf:  # the test is being cancelled
            self._scope.cancel()
        with trio.CancelScope(shield=True):
            with trio.move_on_after(PATIENCE):
                await self._ended.wait()
                return True
            self._scope.cancel()
            await self._ended.wait()
        return False


@attrs.define(eq=False)
class Host:
    """An application that is alive for as long as somebody uses it."""

    _app: Any
    _limits: Limits
    users: int = 0
    error: BaseException | None = None
    ready: trio.Event = attrs.field(factory=trio.Event)
    unused: trio.Event = attrs.field(factory=trio.Event)
    ended: trio.Event = attrs.field(factory=trio.Event)
    _state: dict[str, Any] = attrs.field(init=False)
    _reception: Reception = attrs.field(init=False)
    _nursery: trio.Nursery = attrs.field(init=False)

    async def live(self) -> None:
        try:
            async with run_lifespan(self._app) as self._state:
                self._reception = Reception(self._app, Config(), self._limits, self._state)
                async with self._reception.running() as self._nursery:
                    self.ready.set()
                    await self.unused.wait()
        except* trio.Cancelled:  # pragma: no cover - when the test is over, and its clients with it
            raise
        except* BaseException as group:  # a system task must not fail: whoever uses the application raises it
            self.error = _take_out(group)
        finally:
            del _hosts.get()[id(self._app)]
            self.ready.set()
            self.ended.set()

    async def serve_http(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the application for one HTTP request, as an ASGI application itself."""
        await self._app({**scope, "state": dict(self._state)}, receive, send)

    def serve(self, stream: trio.abc.Stream) -> Service:
        """Start to serve a connection."""
        service = Service()
        self._nursery.start_soon(service.run, self._reception, stream)
        return service


_hosts: RunVar[dict[int, Host]] = RunVar("wsframework.testing hosts")


@asynccontextmanager
async def hosted(app: Any, limits: Limits | None) -> AsyncIterator[Host]:
    """Have the application alive in the block. The first one to ask starts it, the last one to leave ends it.

    Raises:
        StartupError: it cannot start.
    """
    host = await _find_host(app, Limits() if limits is None else limits)
    host.users += 1
    try:
        await host.ready.wait()
        if host.error is not None:
            raise host.error
        yield host
    finally:
        host.users -= 1
        if not host.users:
            host.unused.set()
            with trio.CancelScope(shield=True):  # the lifespan's own timeouts bound it
                await host.ended.wait()


async def _find_host(app: Any, limits: Limits) -> Host:
    try:
        hosts = _hosts.get()
    except LookupError:
        hosts = {}
        _hosts.set(hosts)
    while (host := hosts.get(id(app))) is not None and host.unused.is_set():
        await host.ended.wait()  # it is about to end; it is started again
    if host is None:
        host = hosts[id(app)] = Host(app, limits)
        spawn_system_task(host.live, context=copy_context())
    return host


def _take_out(error: BaseException) -> BaseException:
    """Take an error out of the groups that the nurseries on its way have made, if it is alone in them."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
