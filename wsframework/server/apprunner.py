"""Runs the application for every WebSocket, has hypercorn run it for HTTP, and sees all of that to its end.

Every WebSocket is one task of a nursery, from its whole request head on, and contains its own errors.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context
from functools import partial
from typing import Any

import trio
from hypercorn.config import Config
from starlette.websockets import WebSocketDisconnect as StarletteDisconnect

from ..access_log import ACCESS_REASON
from ..close import CloseCode
from ..compression import Deflate
from ..errors import REPORT_ERRORS_TO, ClientGone, ReportError, RequestError
from ..limits import Limits
from .admission import Visit
from .connection import Connection
from .departure import Departure
from .drain import see_off, stopping
from .head.handshake import Handshake
from .head.request import Headers
from .http.handoff import GoOn, HandOff
from .http.http2.stream import WebSocketStream
from .scope import Peers, make_scope
from .upkeep import Upkeep
from .wire import Wire

logger: logging.Logger = logging.getLogger("wsframework.server")

# How long clients have to answer our close frame when the server is cancelled.
GOODBYE = 1.0


class AppRunner:
    """Runs one application.

    Args:
        app: any ASGI application that runs on Trio.
        config: hypercorn's; timeouts, ``server_names`` and ``root_path`` are read from it.
        limits: the bounds of every connection.
        state: the lifespan's state, copied for each connection.
        upkeep: looks after the connections' deadlines.
        compression: of messages, where the application does not say.

    Attributes:
        draining: there are no more new WebSockets.
    """

    def __init__(
        self,
        app: Any,
        config: Config,
        limits: Limits,
        state: dict[str, Any],
        upkeep: Upkeep,
        compression: Deflate | None = None,
    ) -> None:
        self.draining: bool = False
        self._app = app
        self._root_path = config.root_path
        self._names = frozenset(name.encode() for name in config.server_names)
        self._limits = limits
        self._state = state
        self._upkeep = upkeep
        self._compression = compression
        self._http = HandOff(app, config, state, limits, self._serve_over_http2)
        self._nursery: trio.Nursery | None = None  # for connections, while there may be new ones
        self._context = copy_context()
        self._connections: set[Connection] = set()
        self._on_gone = self._forget  # bound once, because every connection keeps it
        self._tasks = 0
        self._news = trio.Event()  # a connection or a task has ended

    @property
    def ended(self) -> bool:
        """There are no more new tasks: it has ended, or has not begun."""
        return self._nursery is None

    @property
    def busy(self) -> bool:
        """Some handler still runs."""
        return self._tasks > 0

    @property
    def websockets(self) -> int:
        """How many WebSockets are open, or about to be."""
        return len(self._connections)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[trio.Nursery]:
        """Give the nursery that connections run in. When the block ends they are cancelled, told, and waited for."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._context = copy_context()
                try:
                    yield nursery
                finally:
                    self._nursery = None
                    await self._http.stop()  # noqa: ASYNC102 - sets an event, and waits for nothing
                    nursery.cancel_scope.cancel()
        finally:
            with trio.move_on_after(GOODBYE, shield=True):
                await self._wait_until(lambda: not self._connections)
            for connection in list(self._connections):
                connection.abandon()

    async def drain(self, code: int, reason: str) -> None:
        """Take no more WebSockets, close those that are there, and wait for everything that runs to end.

        Every client gets what is queued for it, and then this code. The close frames go out over half of
        ``Limits.drain_timeout`` at most, so that not all of them come back in the same moment, and a few at once.
        """
        self.draining = True
        await self._http.stop()
        await see_off(self._connections, code, reason, self._limits.drain_timeout)
        await self._wait_until(lambda: not self._connections and not self._tasks)

    async def _wait_until(self, done: Callable[[], bool]) -> None:
        while not done():
            self._news = trio.Event()
            await self._news.wait()

    def start(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Start a connection's task. The reactor is in no task, so this gives it the context of the server's.

        It must not have `ended`.
        """
        assert self._nursery is not None
        self._context.run(partial(self._nursery.start_soon, function, *args, name=function.__qualname__))

    # HTTP

    async def serve_http(self, stream: Any, data: bytes, visit: Visit, go_on: GoOn) -> None:
        """Have hypercorn serve a connection, to its end or until it is handed back: see `HandOff.serve`."""
        visit.handed_over()
        self._tasks += 1
        try:
            await self._http.serve(stream, data, visit.peers, go_on)
        finally:
            self._task_ended()

    async def _serve_over_http2(self, wire: WebSocketStream, handshake: Handshake, peers: Peers) -> None:
        scope = self.make_scope(handshake, peers)
        connection = self.connect(wire, handshake, scope, b"", None)
        wire.start(connection)
        if self.draining:
            _refuse(connection, scope, stopping())
        else:
            await self.run(connection, scope)

    # WebSockets

    def make_scope(self, handshake: Handshake, peers: Peers, report: ReportError | None = None) -> dict[str, Any]:
        """Describe a WebSocket to the application. ``report``, if given, is told of errors besides the log."""
        scope = make_scope(handshake, peers, self._state, self._root_path)
        if report is not None:
            scope[REPORT_ERRORS_TO] = report
        return scope

    def connect(
        self, wire: Wire, handshake: Handshake, scope: dict[str, Any], early: bytes, visit: Visit | None
    ) -> Connection:
        """Begin a connection. Without a visit it is one of several on a socket, which counts as the HTTP side's."""
        on_gone = Departure(scope, visit, self._on_gone)
        connection = Connection(wire, handshake, self._limits, self._upkeep, early, on_gone, self._compression)
        self._connections.add(connection)
        return connection

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._news.set()

    async def run(self, connection: Connection, scope: dict[str, Any]) -> None:
        """Run the application for a connection, whose scope this is. Its errors end here."""
        if not self._answers_to(scope["headers"]):
            _refuse(connection, scope, RequestError(404, "This server has another name."))
            return
        self._tasks += 1
        code = CloseCode.GOING_AWAY  # if we are cancelled
        try:
            await self._app(scope, connection.asgi_receive, connection.asgi_send)
            code = CloseCode.NORMAL_CLOSURE
        except (StarletteDisconnect, ClientGone):
            code = CloseCode.NORMAL_CLOSURE  # the client has left, and the application let that be its end
        except Exception as error:
            code = CloseCode.INTERNAL_ERROR
            _report(error, scope)
        except BaseExceptionGroup as group:  # cancelled, and failed on the way out
            failures, rest = group.split(Exception)
            if failures is not None:
                _report(failures, scope)
            if rest is not None:
                raise rest from None
        finally:
            connection.finish(code)
            self._task_ended()

    def _answers_to(self, headers: Headers) -> bool:
        """Say whether a request names us, as hypercorn does for HTTP: the Host is one of ``server_names``, if any."""
        return not self._names or any(name == b"host" and value in self._names for name, value in headers)

    def _task_ended(self) -> None:
        self._tasks -= 1
        self._news.set()


def _refuse(connection: Connection, scope: dict[str, Any], error: RequestError) -> None:
    scope[ACCESS_REASON] = error.detail
    connection.refuse(error)


def _report(error: Exception, scope: dict[str, Any]) -> None:
    logger.error("the application failed at %a; the connection was closed", scope["path"], exc_info=error)
    report = scope.get(REPORT_ERRORS_TO)
    if report is not None:
        report(error)
