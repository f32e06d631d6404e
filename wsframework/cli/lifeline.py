"""What a worker knows of its parent: the sockets it was given, and the line between the two.

The line is a pair of connected sockets. The worker says ``ready`` when it serves, or why it cannot, in its own words
and until the end of the stream. The parent says ``drain`` with a close code, or ``stop``. It has to say it there and
not with signals, because a service manager may send signals to every process of a service, and the second signal that
a server gets means something else than the first. When the parent is gone, however it died, the stream ends, on every
system that has sockets; that is the order to drain.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress

import attrs
import trio

from ..close import CloseCode

VARIABLE = "WSFRAMEWORK_WORKER"
READY = b"ready\n"
STOP = "stop"
DRAIN = "drain"


@attrs.frozen
class Post:
    """What a worker is told when it is started.

    Attributes:
        line: the descriptor of its end of the line.
        sockets: the descriptors of the listening sockets.
        workers: how many workers serve together.
        first: it is the first of all; what all would say alike, this one says.
    """

    line: int
    sockets: list[int]
    workers: int
    first: bool

    def write(self) -> dict[str, str]:
        """Return it as variables of the environment."""
        return {VARIABLE: json.dumps(attrs.asdict(self))}

    @classmethod
    def take(cls) -> Post | None:
        """Take it out of the environment, so that no program which the application starts finds it; None if not there.

        The descriptors are no longer inherited from here on either.
        """
        written = os.environ.pop(VARIABLE, None)
        if written is None:
            return None
        post = cls(**json.loads(written))
        for descriptor in (post.line, *post.sockets):
            os.set_inheritable(descriptor, False)
        return post


class Lifeline:
    """A worker's end of the line."""

    def __init__(self, line: socket.socket) -> None:
        self._socket = line

    def ready(self) -> None:
        """Say that this worker serves."""
        self._say(READY)

    def refuse(self, why: str) -> None:
        """Say why it cannot. Waits until the parent has taken it, or is gone."""
        self._socket.setblocking(True)
        self._say(why.encode("utf-8", "backslashreplace"))

    def _say(self, data: bytes) -> None:
        with suppress(OSError):  # the parent is gone, as `listen` will say
            self._socket.sendall(data)

    async def listen(self, obey: Callable[[str, CloseCode], None]) -> None:
        """Call ``obey`` with what the parent says: `DRAIN` or `STOP`, and the close code for the clients.

        Returns when the parent is gone; the last order then is to drain.
        """
        line = trio.socket.from_stdlib_socket(self._socket)
        said = b""
        while data := await _receive(line):
            *orders, said = (said + data).split(b"\n")
            for order in orders:
                verb, code = order.decode().split()
                obey(verb, CloseCode(int(code)))
        obey(DRAIN, CloseCode.SERVICE_RESTART)


async def _receive(line: trio.socket.SocketType) -> bytes:
    try:
        return await line.recv(1024)
    except ConnectionError:
        return b""


def write_order(verb: str, code: CloseCode) -> bytes:
    """Write what the parent says."""
    return f"{verb} {int(code)}\n".encode()
