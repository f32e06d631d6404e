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

import attrs
import trio
from hypercorn.config import Config

from ..errors import StartupError
from .scope import AF_UNIX

logger: logging.Logger = logging.getLogger("wsframework.server")

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
            listeners.append(Listener(_open(bind, config), secure))
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
