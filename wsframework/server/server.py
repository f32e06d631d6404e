"""The server: from a listening socket to an application that runs, and to its end.

Tasks. `Server.running` keeps the reactor and the upkeep alive, shielded, until the last connection is gone. Inside it
every connection is one task of the caller's nursery, and contains its own errors.

The way of a connection: accept, TLS if the listener is secure, the request head, and then either a `Connection` whose
application runs here, or the hand-off to hypercorn.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from hypercorn.config import Config
from starlette.websockets import WebSocketDisconnect as StarletteDisconnect

from ..close import CloseCode
from ..errors import REPORT_ERRORS_TO, ClientGone, ReportError, RequestError, StartupError
from ..limits import Limits
from . import reactor
from .arrival import read_arrival
from .connection import Connection
from .handshake import Handshake, encode_refusal
from .http import HTTPSide
from .lifespan import run_lifespan
from .listeners import accept_for_ever, open_listeners
from .reactor import Reactor, SocketWire
from .scope import AF_UNIX, Peers, make_scope
from .streams import StreamWire, end_sending
from .upkeep import Upkeep
from .wire import RECEIVE_SIZE, SEND_SIZE

logger: logging.Logger = logging.getLogger("wsframework.server")

# How long clients have to answer our close frame when the server is cancelled.
_GOODBYE = 1.0


class Server:
    """Serves one application.

    Args:
        app: any ASGI application that runs on Trio.
        config: hypercorn's; TLS, timeouts and ``root_path`` are read from it.
        limits: the bounds of every connection.
        state: the lifespan's state, copied for each connection.
        tls: the certificate for secure connections, if there are any.
    """

    def __init__(
        self, app: Any, config: Config, limits: Limits, state: dict[str, Any], tls: ssl.SSLContext | None = None
    ) -> None:
        self._app = app
        self._config = config
        self._limits = limits
        self._state = state
        self._tls = tls
        self._http = HTTPSide(app, config, state)
        self._upkeep = Upkeep()
        self._reactor = Reactor() if reactor.AVAILABLE else None
        self._connections: set[Connection] = set()
        self._all_gone = trio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[trio.Nursery]:
        """Give the nursery that connections run in. When the block ends they are cancelled, told, and waited for."""
        background = [self._upkeep.run] if self._reactor is None else [self._upkeep.run, self._reactor.run]
        async with _in_background(*background):
            try:
                async with trio.open_nursery() as nursery:
                    try:
                        yield nursery
                    finally:
                        await self._http.stop()  # noqa: ASYNC102 - sets an event, and waits for nothing
                        nursery.cancel_scope.cancel()
            finally:
                with trio.move_on_after(_GOODBYE, shield=True):
                    await self._wait_until_gone()

    async def _wait_until_gone(self) -> None:
        while self._connections:
            self._all_gone = trio.Event()
            await self._all_gone.wait()

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_gone.set()

    # One connection

    async def handle_socket(self, sock: socket.socket, secure: bool) -> None:
        """Serve a socket that was just accepted. Owns it; whatever goes wrong ends only this connection."""
        try:
            if sock.family != AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peers = Peers.of(sock, secure)
        except OSError:
            sock.close()  # the client is gone already
            return
        try:
            if secure or self._reactor is None:
                await self._handle_stream(_as_stream(sock), peers)
            else:
                await self._handle_plain(sock, peers, self._reactor)
        except Exception:
            logger.exception("a connection failed inside the server; it was closed, the others go on")
            sock.close()

    async def _handle_plain(self, sock: socket.socket, peers: Peers, reactor: Reactor) -> None:
        try:
            arrival = await read_arrival(_receiver(sock), self._limits)
        except RequestError as error:
            await self._refuse(_as_stream(sock), error)
            return
        except BaseException:
            sock.close()
            raise
        if arrival is None:
            sock.close()
        elif arrival.handshake is None:
            await self._http.serve(_as_stream(sock), arrival.data)
        else:
            wire = SocketWire(sock, reactor)
            connection = self._connect(wire, arrival.handshake, arrival.data)
            wire.start(connection)
            await self._run(connection, arrival.handshake, peers)

    async def _handle_stream(self, stream: trio.SocketStream, peers: Peers) -> None:
        if not peers.secure:
            await self.handle_stream(stream, peers)
            return
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
            await self._http.serve(secure, b"")
        else:
            await self.handle_stream(secure, peers)

    async def handle_stream(
        self, stream: Any, peers: Peers, report: ReportError | None = None, *, buffer: int = SEND_SIZE
    ) -> None:
        """Serve a connection over a trio stream, from its request head on. Owns the stream.

        ``report``, if given, is told of errors of the application besides the log.
        """

        async def receive_some() -> bytes:
            try:
                return bytes(await stream.receive_some(RECEIVE_SIZE))
            except trio.BrokenResourceError:
                return b""

        try:
            arrival = await read_arrival(receive_some, self._limits)
        except RequestError as error:
            await self._refuse(stream, error)
            return
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        if arrival is None:
            await trio.aclose_forcefully(stream)
        elif arrival.handshake is None:
            await self._http.serve(stream, arrival.data)
        else:
            wire = StreamWire(stream, buffer)
            connection = self._connect(wire, arrival.handshake, arrival.data)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wire.run, connection)
                try:
                    await self._run(connection, arrival.handshake, peers, report)
                except BaseException:  # a cancellation, which trio may have put into a group
                    wire.close_after(_GOODBYE)
                    raise

    def _connect(self, wire: Any, handshake: Handshake, early: bytes) -> Connection:
        connection = Connection(wire, handshake, self._limits, self._upkeep, early, self._forget)
        self._connections.add(connection)
        return connection

    async def _run(
        self, connection: Connection, handshake: Handshake, peers: Peers, report: ReportError | None = None
    ) -> None:
        """Run the application for a connection."""
        scope = make_scope(handshake, peers, self._state, self._config.root_path)
        if report is not None:
            scope[REPORT_ERRORS_TO] = report
        code = CloseCode.GOING_AWAY  # if we are cancelled
        try:
            await self._app(scope, connection.asgi_receive, connection.asgi_send)
            code = CloseCode.NORMAL_CLOSURE
        except (StarletteDisconnect, ClientGone):
            code = CloseCode.NORMAL_CLOSURE  # the client has left, and the application let that be its end
        except Exception as error:
            code = CloseCode.INTERNAL_ERROR
            self._report(error, handshake, report)
        except BaseExceptionGroup as group:  # cancelled, and failed on the way out
            failures, rest = group.split(Exception)
            if failures is not None:
                self._report(failures, handshake, report)
            if rest is not None:
                raise rest from None
        finally:
            connection.finish(code)

    def _report(self, error: Exception, handshake: Handshake, report: ReportError | None) -> None:
        logger.error("the application failed at %r; the connection was closed", handshake.path, exc_info=error)
        if report is not None:
            report(error)

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


async def serve(
    app: Any,
    config: Config | None = None,
    *,
    limits: Limits | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an ASGI application until cancelled: ``urls = await nursery.start(serve, app, config)``.

    Args:
        app: an `App`, an endpoint class, or any other ASGI application that runs on Trio.
        config: hypercorn's ``Config``: binds (TCP, ``unix:``, ``fd://``), certificates, timeouts, ``root_path``.
            127.0.0.1:8000 without one.
        limits: the bounds of every connection.
        task_status: started with the URLs, once connections are accepted.

    Raises:
        StartupError: an address cannot be bound, a certificate cannot be read, or the application cannot start.

    If it is cancelled: it accepts no more, closes every WebSocket with 1001, lets every ``on_disconnect`` run, gives
    clients a second to answer, and shuts the application's lifespan down.
    """
    config = Config() if config is None else config
    tls = _make_ssl_context(config)
    listeners = open_listeners(config)
    try:
        lifespan = run_lifespan(app, startup_timeout=config.startup_timeout, shutdown_timeout=config.shutdown_timeout)
        async with lifespan as state:
            server = Server(app, config, Limits() if limits is None else limits, state, tls)
            async with server.running() as nursery:

                def handle(sock: socket.socket, secure: bool) -> None:
                    nursery.start_soon(server.handle_socket, sock, secure)

                for listener in listeners:
                    nursery.start_soon(accept_for_ever, listener, handle)
                task_status.started([listener.url for listener in listeners])
                await trio.sleep_forever()
    finally:
        for listener in listeners:
            listener.close()


def _as_stream(sock: socket.socket) -> trio.SocketStream:
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))


def _receiver(sock: socket.socket) -> Callable[[], Awaitable[bytes]]:
    async def receive_some() -> bytes:
        while True:
            try:
                return sock.recv(RECEIVE_SIZE)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(sock)
            except OSError:
                return b""

    return receive_some


def _make_ssl_context(config: Config) -> ssl.SSLContext | None:
    files = f"{config.certfile} and {config.keyfile}"
    try:
        return config.create_ssl_context()
    except ssl.SSLError as error:
        detail = f" ({error.reason})" if error.reason else ""
        raise StartupError(f"{files} are no certificate and its key in PEM format{detail}") from error
    except OSError as error:
        raise StartupError(f"cannot read {files} for TLS: {error.strerror}") from error


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
