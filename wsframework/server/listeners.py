"""Sockets that listen: every bind of hypercorn's ``Config``, with the options that connections inherit."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import suppress

import attrs
from hypercorn.config import Config

from ..errors import StartupError
from ..limits import KIB, Limits
from .binds import explain, open_bind
from .scope import AF_UNIX

logger: logging.Logger = logging.getLogger("wsframework.server")

_PROBES = 3  # of TCP's own keep-alive, without an answer, before the system gives a peer up
_UNSENT = 16 * KIB  # that a socket takes beyond what may leave at once


@attrs.frozen
class Listener:
    """A listening socket.

    Attributes:
        socket: the socket.
        secure: its connections begin with a TLS handshake.
        inherited: another process has opened it, which also takes a Unix socket's file away.
    """

    socket: socket.socket
    secure: bool
    inherited: bool = False
    _file: tuple[int, int] | None = attrs.field(init=False)

    @_file.default
    def _find_file(self) -> tuple[int, int] | None:
        return _identify(self.socket)

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
        """Stop listening, and take a Unix socket's file away if it is ours."""
        if self.socket.fileno() >= 0 and not self.inherited:
            # Not if another server listens there by now: the one that takes over from us.
            if self._file is not None and self._file == _identify(self.socket):
                with suppress(OSError):
                    os.unlink(self.socket.getsockname())
        self.socket.close()


def _identify(sock: socket.socket) -> tuple[int, int] | None:
    """Tell the file at a Unix socket's path from any other; None if there is none."""
    if sock.family != AF_UNIX:
        return None
    try:
        status = os.stat(sock.getsockname())
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def open_listeners(config: Config, limits: Limits) -> list[Listener]:
    """Open every bind of the configuration.

    Raises:
        StartupError: one of them cannot be opened; then none is.
    """
    if config.quic_bind:
        logger.warning("QUIC is not served; quic_bind is ignored")
    binds = [(bind, config.ssl_enabled) for bind in config.bind]
    if config.ssl_enabled:
        binds += [(bind, False) for bind in config.insecure_bind]
    listeners: list[Listener] = []
    try:
        for bind, secure in binds:
            listeners.append(Listener(open_bind(bind, config), secure, inherited=bind.startswith("fd://")))
            _set_options(listeners[-1].socket, limits)
    except (OSError, ValueError) as error:
        for listener in listeners:
            listener.close()
        raise StartupError(f"cannot listen on {bind or repr(bind)}: {explain(error)}") from error
    return listeners


def _set_options(sock: socket.socket, limits: Limits) -> None:
    """Set what every connection of this listener inherits, which saves two calls for each (Linux and the BSDs)."""
    if sock.family == AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # What a socket has taken can be neither dropped nor replaced. Left alone, Linux takes megabytes for a client on
        # a slow link: minutes of old prices. So it takes little beyond what is on its way; the value is Trio's.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A peer that vanished while bytes were on their way to it, a ping at least, is given up by the system, also
        # where we do not look (RFC 5482). Later than our own deadlines, which know more.
        seconds = max(limits.write_timeout, (limits.ping_interval or 0) + limits.ping_timeout)
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(min(seconds * 1000, 2**31 - 1)))
    if hasattr(socket, "TCP_KEEPIDLE") and limits.ping_interval is not None:
        # Behind a full inbox nothing is read, and so the ping clock stands still. Then this is what finds out that the
        # peer has vanished (RFC 9293 section 3.8.4), after as much silence as the pings allow.
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _in_seconds(limits.ping_interval))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _in_seconds(limits.ping_timeout / _PROBES))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)


def _in_seconds(time: float) -> int:
    return max(1, int(min(time, 32767)))  # what Linux takes
