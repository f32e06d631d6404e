"""Sockets that listen, made from hypercorn's ``Config``, and the loop that accepts from one."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress

import attrs
import trio
from hypercorn.config import Config

from ..errors import StartupError
from .scope import AF_UNIX

logger = logging.getLogger("wsframework.server")

_BURST = 32  # connections accepted before other tasks run
_PAUSE = 0.1  # seconds to wait when the system has no room for another connection
_NO_ROOM = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


@attrs.frozen
class Listener:
    """A listening socket. ``secure``: its connections begin with a TLS handshake."""

    socket: socket.socket
    secure: bool

    @property
    def url(self) -> str:
        """Where a browser finds it; a Unix socket's path where there is none."""
        scheme = "https" if self.secure else "http"
        name = self.socket.getsockname()
        if self.socket.family == AF_UNIX:
            return f"unix:{os.fsdecode(name)}"
        host, port = name[:2]
        # A browser cannot open the address that means "all of them".
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def close(self) -> None:
        """Stop listening, and take a Unix socket's file away."""
        if self.socket.fileno() >= 0 and self.socket.family == AF_UNIX:
            with suppress(OSError):
                os.unlink(self.socket.getsockname())
        self.socket.close()


def open_listeners(config: Config) -> list[Listener]:
    """Open every bind of the configuration.

    Raises:
        StartupError: one of them cannot be opened.
    """
    try:
        sockets = config.create_sockets()
    except (OSError, OverflowError, ValueError) as error:
        binds = ", ".join([*config.bind, *config.insecure_bind])
        raise StartupError(f"cannot listen on {binds}: {_explain(error)}") from error
    for sock in sockets.quic_sockets:
        sock.close()
        logger.warning("QUIC is not served; quic_bind is ignored")
    listeners = [Listener(sock, True) for sock in sockets.secure_sockets]
    listeners += [Listener(sock, False) for sock in sockets.insecure_sockets]
    for listener in listeners:
        # hypercorn's 100 makes clients that come at once wait for a second and try again.
        listener.socket.listen(max(config.backlog, 1024))
    return listeners


def _explain(error: Exception) -> str:
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return "the address is in use by another program"
        case errno.EACCES | errno.EPERM:
            return "permission denied (ports below 1024 are for root)"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address"
    if isinstance(error, socket.gaierror):
        return "this host name is not known"
    return (error.args[-1] if error.args else str(error)) if isinstance(error, OSError) else str(error)


async def accept_for_ever(listener: Listener, handle: Callable[[socket.socket, bool], None]) -> None:
    """Accept connections and hand each one over, until cancelled."""
    accepted = 0
    while True:
        try:
            connection, _ = listener.socket.accept()
        except BlockingIOError:
            accepted = 0
            await trio.lowlevel.wait_readable(listener.socket)
            continue
        except OSError as error:
            if error.errno in _NO_ROOM:
                logger.error("no room for another connection (%s), trying again in %g s", error.strerror, _PAUSE)
                await trio.sleep(_PAUSE)
            else:  # the client gave up before we came to it
                await trio.lowlevel.checkpoint()
            continue
        connection.setblocking(False)
        handle(connection, listener.secure)
        accepted += 1
        if accepted % _BURST == 0:
            await trio.lowlevel.checkpoint()
