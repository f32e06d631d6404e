"""A worker as its parent sees it: a process that serves, at the other end of a line."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

import trio

from ..close import CloseCode
from .lifeline import DRAIN, READY, STOP, Post, write_order


class Worker(Protocol):
    """What a parent does with a worker."""

    @property
    def pid(self) -> int:
        """The number of the process."""

    @property
    def refusal(self) -> str:
        """Why it could not start, in its own words; empty if it gave none."""

    async def wait_ready(self) -> bool:
        """Wait until it serves, or has ended without ever serving; then False. May be called once."""

    async def wait(self) -> int:
        """Wait for its end, and return its exit code: a negative one is the number of the signal that killed it."""

    def drain(self, code: CloseCode) -> None:
        """Tell it to stop in good order, with this close code for its clients."""

    def stop(self) -> None:
        """Tell it to cancel its handlers and to stop."""

    def kill(self) -> None:
        """End it without asking it. `wait` tells when it is gone."""

    def close(self) -> None:
        """Let go of it, when it has ended."""


StartWorker = Callable[[], Awaitable[Worker]]


class WorkerProcess:
    """A process that runs the same command as this one, with `Post` in its environment."""

    def __init__(self, process: trio.Process, line: socket.socket) -> None:
        self._process = process
        self._line = trio.socket.from_stdlib_socket(line)
        self._socket = line
        self._said = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def refusal(self) -> str:
        return "" if self._said == READY else self._said.decode("utf-8", "replace")

    async def wait_ready(self) -> bool:
        async with trio.open_nursery() as nursery:
            # Not only the end of the stream: a process that the worker forked may hold the line open.
            nursery.start_soon(self._cancel_at_the_end, nursery.cancel_scope)
            while self._said != READY and (data := await _receive(self._line)):
                self._said += data
            if self._said != READY:
                await self._process.wait()
            nursery.cancel_scope.cancel()
        if self._process.returncode is not None:
            self._read_the_rest()
        return self._said == READY

    async def _cancel_at_the_end(self, scope: trio.CancelScope) -> None:
        await self._process.wait()
        scope.cancel()

    def _read_the_rest(self) -> None:
        with suppress(OSError):
            while data := self._socket.recv(65536):
                self._said += data

    async def wait(self) -> int:
        return await self._process.wait()

    def drain(self, code: CloseCode) -> None:
        self._order(DRAIN, code)

    def stop(self) -> None:
        self._order(STOP, CloseCode.GOING_AWAY)

    def _order(self, verb: str, code: CloseCode) -> None:
        with suppress(OSError):  # it has ended
            self._socket.send(write_order(verb, code))

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._line.close()


async def _receive(line: trio.socket.SocketType) -> bytes:
    try:
        return await line.recv(65536)
    except ConnectionError:
        return b""


def worker_command(arguments: Sequence[str]) -> list[str]:
    """Return how to start a worker for ``wsframework run`` with these arguments.

    It is this process's own command line where that is known, so that the interpreter's options, and the folders on the
    import path, are the same in every process.
    """
    if arguments and sys.orig_argv[-len(arguments) :] == list(arguments) and "run" in sys.orig_argv:
        return [sys.executable, *sys.orig_argv[1:]]
    return [sys.executable, "-m", "wsframework", "run", *arguments]


class WorkerStarter:
    """Starts workers; its call is a `StartWorker`.

    Args:
        command: the program and its arguments.
        sockets: the descriptors of the listening sockets.
        workers: how many serve together.
    """

    def __init__(self, command: Sequence[str], sockets: Sequence[int], workers: int) -> None:
        self._command = list(command)
        self._sockets = list(sockets)
        self._workers = workers
        self._first = True

    async def __call__(self) -> Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            post = Post(theirs.fileno(), self._sockets, self._workers, self._first)
            self._first = False
            start = partial(
                trio.lowlevel.open_process,
                self._command,
                env={**os.environ, **post.write()},
                # Ctrl+C in a terminal reaches all processes of a session's foreground group; it is for the parent to
                # act on, once.
                start_new_session=True,
                pass_fds=(theirs.fileno(), *self._sockets),
            )
            try:
                return WorkerProcess(await start(), ours)
            except BaseException:
                ours.close()
                raise
