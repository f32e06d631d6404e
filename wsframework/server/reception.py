"""Takes connections in, and runs the application for each.

Tasks. `Reception.running` keeps the reactor and the upkeep alive, shielded, until the last connection is gone. Inside
it every WebSocket is one task of a nursery, from its whole request head on, and contains its own errors.

The way of a connection: accept, TLS if the listener is secure, the request head, and then either a `Connection` whose
application runs here, or the hand-off to hypercorn. A plain socket has no task before its request head is whole.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context
from functools import partial
from math import ceil
from typing import Any

import trio
from hypercorn.config import Config
from starlette.websockets import WebSocketDisconnect as StarletteDisconnect

from ..close import CloseCode
from ..compression import Deflate
from ..errors import REPORT_ERRORS_TO, ClientGone, ReportError, RequestError
from ..limits import Limits
from . import reactor
from .access import log_refusal
from .admission import Admission, Visit
from .arrival import Arrival, read_arrival
from .connection import Connection
from .containment import log_failure
from .departure import Departure
from .door import Arriving, Refusal
from .handshake import Handshake, Headers, encode_refusal
from .http import GoOn, HTTPSide
from .http2stream import WebSocketStream
from .reactor import Reactor, SocketWire
from .scope import Peers, make_scope
from .statistics import ServerStatistics
from .streams import StreamWire, end_sending
from .tls import TLSWire
from .upkeep import Upkeep
from .wire import RECEIVE_SIZE, SEND_SIZE, StartableWire, Wire
from .wirestream import WireStream

logger: logging.Logger = logging.getLogger("wsframework.server")

# How long clients have to answer our close frame when the server is cancelled.
_GOODBYE = 1.0

# How long a client that finds no room may take to read that, and how many may do so at a time.
_LINGER = 1.0
_LINGERING = 32

# While the server drains: the time between two lots of close frames, and the part of the drain's time they may take.
_STEP = 0.01
_SPREAD = 0.5


class Reception:
    """Serves one application to whoever comes.

    Args:
        app: any ASGI application that runs on Trio.
        config: hypercorn's; timeouts and ``root_path`` are read from it.
        limits: the bounds of every connection, and of all of them.
        state: the lifespan's state, copied for each connection.
        tls: the certificate for secure connections, if there are any.
        compression: of messages, where the application does not say.
    """

    def __init__(
        self,
        app: Any,
        config: Config,
        limits: Limits,
        state: dict[str, Any],
        tls: ssl.SSLContext | None = None,
        compression: Deflate | None = None,
    ) -> None:
        self._app = app
        self._config = config
        self._names = frozenset(name.encode() for name in config.server_names)
        self._limits = limits
        self._state = state
        self._tls = tls
        self._compression = compression
        self._http = HTTPSide(app, config, state, limits, self._serve_over_http2)
        self._upkeep = Upkeep()
        self._reactor = Reactor() if reactor.AVAILABLE else None
        self._admission = Admission(limits)
        # Bound once, because every connection keeps some.
        self._on_gone = self._forget
        self._on_arrival = self._arrived
        self._on_refusal = self._refused
        self._nursery: trio.Nursery | None = None  # for connections, while there may be new ones
        self._context = copy_context()
        self._draining = False
        self._connections: set[Connection] = set()
        self._tasks = 0
        self._lingering = 0
        self._news = trio.Event()  # a connection or a task has ended

    @property
    def busy(self) -> bool:
        """Some handler still runs."""
        return self._tasks > 0

    def statistics(self) -> ServerStatistics:
        """Return the numbers as of now."""
        door = self._admission
        return ServerStatistics(
            open=door.open,
            websockets=len(self._connections),
            accepted=door.accepted,
            http=door.http,
            lost=door.lost,
            refused=dict(door.refused),
            closed=dict(door.closed),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[trio.Nursery]:
        """Give the nursery that connections run in. When the block ends they are cancelled, told, and waited for."""
        background = [self._upkeep.run] if self._reactor is None else [self._upkeep.run, self._reactor.run]
        async with _in_background(*background):
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
                with trio.move_on_after(_GOODBYE, shield=True):
                    await self._wait_until(lambda: not self._connections)
                for connection in list(self._connections):
                    connection.abandon()

    async def drain(self, code: int, reason: str) -> None:
        """Take no more WebSockets, close those that are there, and wait for everything that runs to end.

        Every client gets what is queued for it, and then this code. The close frames go out over half of
        ``Limits.drain_timeout`` at most, so that not all of them come back in the same moment, and a few at once.
        """
        self._draining = True
        await self._http.stop()
        waiting = list(self._connections)
        lot = max(1, ceil(len(waiting) * _STEP / (self._limits.drain_timeout * _SPREAD)))
        for at in range(0, len(waiting), lot):
            for connection in waiting[at : at + lot]:
                _see_off(connection, code, reason)
            await trio.sleep(_STEP)
        await self._wait_until(lambda: not self._connections and not self._tasks)

    async def _wait_until(self, done: Callable[[], bool]) -> None:
        while not done():
            self._news = trio.Event()
            await self._news.wait()

    # From the door to the application

    def take_in(self, sock: socket.socket, peers: Peers) -> None:
        """Serve a socket that was just accepted. Owns it; whatever goes wrong ends only this connection."""
        visit = self._admission.admit(peers)
        try:
            self._take_in(sock, peers, visit)
        except Exception:  # ours, or the system has no memory for one more
            sock.close()
            if visit is not None:
                visit.lost()
                visit.leave()
            log_failure()

    def _take_in(self, sock: socket.socket, peers: Peers, visit: Visit | None) -> None:
        if visit is None:
            log_refusal(peers.client, _full())
            self._turn_away(sock, peers.secure)
        elif self._nursery is None:
            sock.close()
            visit.lost()
            visit.leave()
        elif self._reactor is None:
            self._start(self._nursery, self._handle_socket, sock, visit)
        else:
            wire = SocketWire(sock, self._reactor)
            self._receive_head(TLSWire(wire, self._tls) if peers.secure and self._tls else wire, visit)

    def _receive_head(self, wire: StartableWire, visit: Visit, data: bytes = b"") -> None:
        """Wait for a request head. If the connection was handed back, ``data`` of it has come already."""
        arriving = Arriving(wire, visit, self._limits, self._on_arrival, self._on_refusal, first=not data)
        wire.start(arriving)
        self._upkeep.watch(arriving, trio.current_time() + self._limits.handshake_timeout)
        if data:
            arriving.received(data)

    def _start(self, nursery: trio.Nursery, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Start a connection's task. The reactor is in no task, so this gives it the context of the server's."""
        self._context.run(partial(nursery.start_soon, function, *args, name=function.__qualname__))

    def _turn_away(self, sock: socket.socket, secure: bool) -> None:
        """Say that there is no room, without a look at what the client wants."""
        if secure or self._reactor is None or self._lingering >= _LINGERING:
            sock.close()
            return
        self._lingering += 1
        self._refuse_wire(SocketWire(sock, self._reactor), _full(), _LINGER, self._turned_away)

    def _turned_away(self) -> None:
        self._lingering -= 1

    def _arrived(self, wire: StartableWire, visit: Visit, arrival: Arrival) -> None:
        handshake, nursery = arrival.handshake, self._nursery
        if nursery is None or (handshake is not None and self._draining):
            self._refused(wire, visit, _stopping(), handshake)
        elif handshake is None:
            stream = WireStream(wire)  # at once: more may come before the task runs
            self._start(nursery, self._serve_http_on_wire, wire, stream, arrival.data, visit)
        else:
            scope = self._make_scope(handshake, visit.peers)
            connection = self._connect(wire, handshake, scope, arrival.data, visit)
            wire.start(connection)
            self._start(nursery, self._run, connection, scope)

    def _refused(
        self, wire: StartableWire, visit: Visit, error: RequestError, handshake: Handshake | None = None
    ) -> None:
        visit.refused(error.status)
        log_refusal(visit.peers.client, error, handshake)
        self._refuse_wire(wire, error, self._limits.close_timeout, visit.leave)

    def _refuse_wire(
        self, wire: StartableWire, error: RequestError, patience: float, on_gone: Callable[[], None]
    ) -> None:
        refusal = Refusal(wire, on_gone)
        refusal.say(error)
        self._upkeep.watch(refusal, trio.current_time() + patience)

    # The same over a stream: the in-memory streams of tests, and systems without epoll

    async def _handle_socket(self, sock: socket.socket, visit: Visit) -> None:
        try:
            stream = _as_stream(sock)
            if visit.peers.secure:
                await self._handle_secure(stream, visit)
            else:
                await self._handle_stream(stream, visit)
        except Exception:
            sock.close()
            log_failure()
        finally:
            visit.lost()  # unless it has had another outcome
            visit.leave()

    async def _handle_secure(self, stream: trio.SocketStream, visit: Visit) -> None:
        assert self._tls is not None
        secure = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
        try:
            with trio.fail_after(min(self._limits.handshake_timeout, self._config.ssl_handshake_timeout)):
                await secure.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError):
            await trio.aclose_forcefully(stream)
            return
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        if secure.selected_alpn_protocol() == "h2":
            await self._serve_http(secure, b"", visit, partial(self._handle_stream, secure, visit, None, SEND_SIZE))
        else:
            await self._handle_stream(secure, visit)

    async def handle_stream(
        self, stream: Any, peers: Peers, report: ReportError | None = None, *, buffer: int = SEND_SIZE
    ) -> None:
        """Serve a connection over a trio stream, from its request head on. Owns the stream.

        ``report``, if given, is told of errors of the application besides the log.
        """
        visit = self._admission.admit(peers)
        if visit is None:
            await self._refuse(stream, _full())
            return
        try:
            await self._handle_stream(stream, visit, report, buffer)
        finally:
            visit.lost()
            visit.leave()

    async def _handle_stream(
        self, stream: Any, visit: Visit, report: ReportError | None = None, buffer: int = SEND_SIZE, data: bytes = b""
    ) -> None:
        async def receive_some() -> bytes:
            nonlocal data
            if data:
                await trio.lowlevel.checkpoint()
                returned, data = data, b""
                return returned
            try:
                return bytes(await stream.receive_some(RECEIVE_SIZE))
            except trio.BrokenResourceError:
                return b""

        try:
            arrival = await read_arrival(receive_some, self._limits, first=not data)
            if arrival is not None and arrival.handshake is not None and self._draining:
                raise _stopping()
        except RequestError as error:
            visit.refused(error.status)
            log_refusal(visit.peers.client, error)
            await self._refuse(stream, error)
            return
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        if arrival is None:
            await trio.aclose_forcefully(stream)
        elif arrival.handshake is None:
            go_on = partial(self._handle_stream, stream, visit, report, buffer)
            await self._serve_http(stream, arrival.data, visit, go_on)
        else:
            wire = StreamWire(stream, buffer)
            scope = self._make_scope(arrival.handshake, visit.peers, report)
            connection = self._connect(wire, arrival.handshake, scope, arrival.data, visit)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wire.run, connection)
                try:
                    await self._run(connection, scope)
                except BaseException:  # a cancellation, which trio may have put into a group
                    wire.close_after(_GOODBYE)
                    raise

    async def _refuse(self, stream: Any, error: RequestError) -> None:
        """Answer with an error, then wait for the client to go, so that it can read the answer."""
        try:
            with trio.move_on_after(self._limits.close_timeout):
                await stream.send_all(encode_refusal(error))
                if await end_sending(stream):
                    while await stream.receive_some(RECEIVE_SIZE):
                        pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    # The application

    async def _serve_http(self, stream: Any, data: bytes, visit: Visit, go_on: GoOn) -> None:
        visit.handed_over()
        self._tasks += 1
        try:
            await self._http.serve(stream, data, visit.peers, go_on)
        finally:
            self._task_ended()

    async def _serve_http_on_wire(self, wire: StartableWire, stream: WireStream, data: bytes, visit: Visit) -> None:
        ours = True

        async def go_on(returned: bytes) -> None:
            nonlocal ours
            ours = False
            self._receive_head(wire, visit, returned + stream.release())

        try:
            await self._serve_http(stream, data, visit, go_on)
        finally:
            if ours:
                visit.leave()

    async def _serve_over_http2(self, wire: WebSocketStream, handshake: Handshake, peers: Peers) -> None:
        scope = self._make_scope(handshake, peers)
        connection = self._connect(wire, handshake, scope, b"", None)
        wire.start(connection)
        if self._draining:
            connection.refuse(_stopping())
        else:
            await self._run(connection, scope)

    def _make_scope(self, handshake: Handshake, peers: Peers, report: ReportError | None = None) -> dict[str, Any]:
        scope = make_scope(handshake, peers, self._state, self._config.root_path)
        if report is not None:
            scope[REPORT_ERRORS_TO] = report
        return scope

    def _connect(
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

    async def _run(self, connection: Connection, scope: dict[str, Any]) -> None:
        """Run the application for a connection."""
        if not self._answers_to(scope["headers"]):
            connection.refuse(_other_name())
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


def _report(error: Exception, scope: dict[str, Any]) -> None:
    logger.error("the application failed at %a; the connection was closed", scope["path"], exc_info=error)
    report = scope.get(REPORT_ERRORS_TO)
    if report is not None:
        report(error)


# Functions, because an exception that is raised again and again collects the places where it was raised.
def _full() -> RequestError:
    return RequestError(503, "The server has no room for more connections.", ((b"Retry-After", b"5"),))


def _other_name() -> RequestError:
    return RequestError(404, "This server has another name.")


def _stopping() -> RequestError:
    return RequestError(503, "The server is stopping.", ((b"Retry-After", b"1"),))


def _see_off(connection: Connection, code: int, reason: str) -> None:
    """Close a connection because the server stops: behind what is queued for its client."""
    if not connection.accepted:
        connection.refuse(_stopping(), code, reason)
        return
    if connection.mailbox is not None:
        connection.mailbox.empty()
    connection.cut_off(code, reason)


def _as_stream(sock: socket.socket) -> trio.SocketStream:
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))


@asynccontextmanager
async def _in_background(*functions: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run these until the block is left, also while we are being cancelled."""
    scope = trio.CancelScope(shield=True)

    async def run() -> None:
        with scope:
            async with trio.open_nursery() as nursery:
                for function in functions:
                    nursery.start_soon(function)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            yield
        finally:
            scope.cancel()
