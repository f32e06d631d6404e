"""What a bind names, ``host:port``, ``unix:path`` or ``fd://number``, as a socket that listens."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from contextlib import suppress

from hypercorn.config import Config

from .scope import AF_UNIX


# Not hypercorn's `Config.create_sockets`, though it is made for this: where one bind fails it leaves the sockets of the
# others, and its own, to the garbage collector, and it does not say which bind it was.
def open_bind(bind: str, config: Config) -> socket.socket:
    """Open the socket that a bind names.

    Raises:
        OSError: the system does not let us; `explain` says it in words.
        ValueError: the bind cannot be read.
    """
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
    if "//" in bind:
        raise ValueError("write host:port and nothing before it, such as 127.0.0.1:8000")
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
    if not path:  # Linux would make up a name that nobody knows
        raise ValueError("write unix: and a path, such as unix:/run/chat.sock")
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


def explain(error: Exception) -> str:
    """Say in words why a bind could not be opened."""
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
