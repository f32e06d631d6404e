"""The portable path: from a Trio stream to the application, for the streams of tests and for systems without epoll."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from ..errors import ReportError, RequestError
from ..limits import Limits
from .access import log_refusal
from .admission import Visit
from .apprunner import GOODBYE, AppRunner
from .containment import log_failure
from .drain import stopping
from .head.reader import read_arrival
from .lingering import close_lingering
from .streams import StreamWire
from .wire import RECEIVE_SIZE, SEND_SIZE


class PortablePath:
    """Serves each connection in a task of its own, over any Trio stream.

    Args:
        runner: runs the application.
        limits: the bounds of a connection.
        tls: the certificate for secure connections, if there are any.
    """

    def __init__(self, runner: AppRunner, limits: Limits, tls: ssl.SSLContext | None) -> None:
        self._runner = runner
        self._limits = limits
        self._tls = tls

    def take_in(self, sock: socket.socket, visit: Visit) -> None:
        """Serve a socket. Owns it from here on, unless this raises."""
        self._runner.start(self._serve_socket, sock, visit)

    def turn_away(self, sock: socket.socket, error: RequestError, patience: float, on_gone: Callable[[], None]) -> None:
        """Answer a plain socket with an error, without a look at what its client wants."""
        self._runner.start(self._turn_away, sock, error, patience, on_gone)

    async def _turn_away(
        self, sock: socket.socket, error: RequestError, patience: float, on_gone: Callable[[], None]
    ) -> None:
        try:
            await close_lingering(_as_stream(sock), error, patience)
        except Exception:
            sock.close()
            log_failure()
        finally:
            on_gone()

    async def _serve_socket(self, sock: socket.socket, visit: Visit) -> None:
        try:
            stream = _as_stream(sock)
            if visit.peers.secure:
                await self.serve_secure(stream, visit)
            else:
                await self.serve(stream, visit)
        except Exception:
            sock.close()
            log_failure()
        finally:
            visit.lost()  # unless it has had another outcome
            visit.leave()

    async def serve_secure(self, stream: trio.abc.Stream, visit: Visit) -> None:
        """Serve a stream from the handshake of TLS on, which has one deadline with the request head behind it."""
        assert self._tls is not None
        deadline = trio.current_time() + self._limits.handshake_timeout
        secure = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
        try:
            with trio.fail_at(deadline):
                await secure.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError):
            await trio.aclose_forcefully(stream)
            return
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        if secure.selected_alpn_protocol() == "h2":
            go_on = partial(self.serve, secure, visit, None, SEND_SIZE)
            await self._runner.serve_http(secure, b"", visit, go_on)
        else:
            await self.serve(secure, visit, deadline=deadline)

    async def serve(
        self,
        stream: Any,
        visit: Visit,
        report: ReportError | None = None,
        buffer: int = SEND_SIZE,
        data: bytes = b"",
        *,
        deadline: float | None = None,
    ) -> None:
        """Serve a stream from its request head on. Owns the stream.

        Args:
            stream: the client.
            visit: its visit.
            report: if given, told of errors of the application besides the log.
            buffer: that of `StreamWire`.
            data: what of the head has come already.
            deadline: of the head, see `read_arrival`.
        """

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

        arrival = None
        try:
            arrival = await read_arrival(receive_some, self._limits, first=not data, deadline=deadline)
            if arrival is not None and arrival.handshake is not None and self._runner.draining:
                raise stopping()
        except RequestError as error:
            visit.refused(error.status)
            log_refusal(visit.peers.client, error, None if arrival is None else arrival.handshake)
            await self.refuse(stream, error)
            return
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        if arrival is None:
            await trio.aclose_forcefully(stream)
        elif arrival.handshake is None:
            go_on = partial(self.serve, stream, visit, report, buffer)
            await self._runner.serve_http(stream, arrival.data, visit, go_on)
        else:
            wire = StreamWire(stream, buffer)
            scope = self._runner.make_scope(arrival.handshake, visit.peers, report)
            connection = self._runner.connect(wire, arrival.handshake, scope, arrival.data, visit)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wire.run, connection)
                try:
                    await self._runner.run(connection, scope)
                    await wire.closed.wait()
                except BaseException:  # a cancellation, which trio may have put into a group
                    wire.close_after(GOODBYE)
                    raise

    async def refuse(self, stream: Any, error: RequestError) -> None:
        """Answer with an error, and close the stream when the client has gone, or had its time to read that."""
        await close_lingering(stream, error, self._limits.close_timeout)


def _as_stream(sock: socket.socket) -> trio.SocketStream:
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))
