"""The loop that accepts connections from a listening socket."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from typing import Any

import trio

from .listeners import Listener
from .scope import AF_UNIX, Address, Peers

logger: logging.Logger = logging.getLogger("wsframework.server")

_BURST = 32  # connections accepted before other tasks run
_PAUSE = 0.1  # seconds to wait when the system has no room for another connection
_SILENCE = 60.0  # and between two complaints about it

# Of the connection that would have been accepted (accept(2)); any other error is the listener's own, or the system's.
_GAVE_UP = frozenset(
    getattr(errno, name)
    for name in ("ECONNABORTED", "ECONNRESET", "EHOSTUNREACH", "EINTR", "ENETDOWN", "ENETUNREACH", "EPERM", "EPROTO")
)


class Acceptor:
    """Accepts from one listener.

    Args:
        listener: the socket.
        take_in: is given each connection, and who is at its ends; it raises nothing.
    """

    def __init__(self, listener: Listener, take_in: Callable[[socket.socket, Peers], None]) -> None:
        self._listener = listener
        self._take_in = take_in
        self._complained = -_SILENCE
        self._server: Address | None = None
        self._is_unix = listener.socket.family == AF_UNIX
        if not self._is_unix:
            host, port = listener.socket.getsockname()[:2]
            if host not in ("0.0.0.0", "::"):  # bound to one address, which is then every connection's
                self._server = (host, port)

    async def run(self) -> None:
        """Accept connections and hand each one over, until cancelled."""
        accepted = 0
        while True:
            try:
                connection, client = self._listener.socket.accept()
            except BlockingIOError:
                accepted = 0
                await trio.lowlevel.wait_readable(self._listener.socket)
                continue
            except OSError as error:
                if error.errno in _GAVE_UP:
                    await trio.lowlevel.checkpoint()
                else:
                    self._complain(error)
                    await trio.sleep(_PAUSE)
                continue
            connection.setblocking(False)
            self._take_in(connection, self._peers(connection, client))
            accepted += 1
            if accepted % _BURST == 0:
                await trio.lowlevel.checkpoint()

    def _peers(self, sock: socket.socket, client: Any) -> Peers:
        if self._is_unix:
            return Peers(None, None, self._listener.secure)
        try:
            server = self._server or sock.getsockname()[:2]
        except OSError:
            server = None  # the client is gone already, as the first read will show
        return Peers(client[:2], server, self._listener.secure)

    def _complain(self, error: OSError) -> None:
        """Say, once in a while, that the system has no room; clients wait in the backlog meanwhile."""
        now = trio.current_time()
        if now >= self._complained + _SILENCE:
            self._complained = now
            logger.error(
                "cannot accept connections: %s. Trying again every %g s; raise the limit of open files (ulimit -n), "
                "or lower Limits.connections",
                error.strerror,
                _PAUSE,
            )
