"""Sockets that listen, made from hypercorn's ``Config``, and the loop that accepts from one."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
import trio
from hypercorn.config import Config

from ..errors import StartupError
from ..limits import KIB, Limits
from .scope import AF_UNIX, Address, Peers

logger: logging.Logger = logging.getLogger("wsframework.server")

_BURST = 32  # connections accepted before other tasks run
_PROBES = 3  # of TCP's own keep-alive, without an answer, before the system gives a peer up
_UNSENT = 16 * KIB  # that a socket takes beyond what may leave at once
_PAUSE = 0.1  # seconds to wait when the system has no room for another connection
_SILENCE = 60.0  # and between two complaints about it

# Of the connection that would have been accepted (accept(2)); any other error is the listener's own, or the system's.
_GAVE_UP = frozenset(
    getattr(errno, name)
    for name in ("ECONNABORTED", "ECONNRESET", "EHOSTUNREACH", "EINTR", "ENETDOWN", "ENETUNREACH", "EPERM", "EPROTO")
)


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
            listeners.append(Listener(_open(bind, config), secure, inherited=bind.startswith("fd://")))
            _set_options(listeners[-1].socket, limits)
    except (OSError, ValueError) as error:
        for listener in listeners:
            listener.close()
        raise StartupError(f"cannot listen on {bind or repr(bind)}: {_explain(error)}") from error
    return listeners


# Not hypercorn's `Config.create_sockets`, though it is made for this: where one bind fails it leaves the sockets of the
# others, and its own, to the garbage collector, and it does not say which bind it was.
def _open(bind: str, config: Config) -> socket.socket:
    # hypercorn's backlog of 100 makes clients that come at once wait for a second and try again.
    backlog = max(config.backlog, 1024)
    if bind.startswith("unix:"):
        sock = _open_unix(bind.removeprefix("unix:"), config, backlog)
    elif bind.startswith("fd://"):
        sock = _open_descriptor(bind.removeprefix("fd://"), backlog)
    else:
        sock = _open_tcp(bind, backlog)
    sock.setblocking(False)
    return sock


def _open_tcp(bind: str, backlog: int) -> socket.socket:
    host, port = _split(bind)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.getaddrinfo(host or None, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    dual = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(found[0][4][:2], family=family, backlog=backlog, dualstack_ipv6=dual)


def _split(bind: str) -> tuple[str, int]:
    """Take ``host:port`` apart; without a port it is hypercorn's 8000."""
    host, _, port = bind.rpartition(":") if re.search(r":[^\]]*$", bind) else (bind, "", "8000")
    if not bind or bind.isdecimal():
        raise ValueError(f"write host:port, such as 127.0.0.1:{bind or 8000}")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{port!r} is no port, which is a number up to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets, such as [::1]:8000")
    return host, int(port)


def _open_unix(path: str, config: Config, backlog: int) -> socket.socket:
    if AF_UNIX is None:
        raise ValueError("this system has no Unix sockets")
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)  # a server that was killed left it
    sock = socket.socket(AF_UNIX, socket.SOCK_STREAM)
    try:
        mask = None if config.umask is None else os.umask(config.umask)
        try:
            sock.bind(path)
        finally:
            if mask is not None:
                os.umask(mask)
        if config.user is not None and config.group is not None:
            os.chown(path, config.user, config.group)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _open_descriptor(number: str, backlog: int) -> socket.socket:
    if not number.isdecimal():
        raise ValueError("write fd:// and the number of an open descriptor, such as fd://3")
    sock = socket.socket(fileno=int(number))
    if sock.type != socket.SOCK_STREAM:
        sock.detach()
        raise ValueError("this is no stream socket")
    sock.listen(backlog)
    return sock


def _explain(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "this host name is not known"
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return "the address is in use by another program"
        case errno.EACCES | errno.EPERM:
            return "permission denied (ports below 1024 are for root)"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address"
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


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
    return max(1, min(int(time), 32767))  # what Linux takes


async def accept_for_ever(listener: Listener, take_in: Callable[[socket.socket, Peers], None]) -> None:
    """Accept connections and hand each one over, until cancelled."""
    door = _Door(listener)
    accepted = 0
    while True:
        try:
            connection, client = listener.socket.accept()
        except BlockingIOError:
            accepted = 0
            await trio.lowlevel.wait_readable(listener.socket)
            continue
        except OSError as error:
            if error.errno in _GAVE_UP:
                await trio.lowlevel.checkpoint()
            else:
                door.complain(error)
                await trio.sleep(_PAUSE)
            continue
        connection.setblocking(False)
        take_in(connection, door.peers(connection, client))
        accepted += 1
        if accepted % _BURST == 0:
            await trio.lowlevel.checkpoint()


class _Door:
    """What accepting from one listener remembers."""

    def __init__(self, listener: Listener) -> None:
        self._secure = listener.secure
        self._complained = -_SILENCE
        self._server: Address | None = None
        self._is_unix = listener.socket.family == AF_UNIX
        if not self._is_unix:
            host, port = listener.socket.getsockname()[:2]
            if host not in ("0.0.0.0", "::"):  # bound to one address, which is then every connection's
                self._server = (host, port)

    def peers(self, sock: socket.socket, client: Any) -> Peers:
        if self._is_unix:
            return Peers(None, None, self._secure)
        try:
            server = self._server or sock.getsockname()[:2]
        except OSError:
            server = None  # the client is gone already, as the first read will show
        return Peers(client[:2], server, self._secure)

    def complain(self, error: OSError) -> None:
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
