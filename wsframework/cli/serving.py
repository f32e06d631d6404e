"""A process that serves: alone, or as one of the workers of a parent."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import click
import trio

from ..app import App
from ..close import CloseCode
from ..server import Server
from .lifeline import STOP, Lifeline, Post
from .load import load_app
from .output import say
from .settings import Settings
from .signals import CODES, obey_signals
from .startup import keep_freed_memory, raise_file_limit, startup_errors

logger: logging.Logger = logging.getLogger("wsframework.server")

Announce = Callable[[list[str]], None]


class Service:
    """The server of one process, and the ways to stop it.

    Attributes:
        exit_code: of the process, once `run` has returned: 0 unless it was forced.
    """

    def __init__(self, app: Any, settings: Settings, sockets: list[int] | None = None) -> None:
        config = settings.config()
        if sockets is not None:
            config.bind = [f"fd://{descriptor}" for descriptor in sockets]
        self._server = Server(
            settings.behind_proxy(app),
            config,
            limits=settings.limits(),
            compression=settings.compression,
            health=settings.health,
            watchdog=settings.watchdog or None,
        )
        self._scope = trio.CancelScope()
        self._serves = False
        self.exit_code: int = 0

    def stop(self, code: CloseCode) -> None:
        """Have `run` return when clients have been told and handlers have ended; only the first call counts.

        An application that still starts is cancelled: nobody has come yet, and it may never finish.
        """
        if self._serves:
            self._server.drain(code)
        else:
            self._scope.cancel()

    def force(self) -> None:
        """Have `run` return at once: handlers are cancelled, and clients get a second."""
        self.exit_code = 1
        self._scope.cancel()

    async def run(self, announce: Announce) -> None:
        """Serve until one of the two. ``announce`` is called with the URLs when connections are accepted."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                urls = await nursery.start(self._server.run)
                self._serves = True
                announce(urls)


def serve_alone(settings: Settings) -> int:
    """Serve in this process until a signal; return its exit code.

    Raises:
        click.ClickException: it cannot start.
    """
    raise_file_limit()
    keep_freed_memory()
    app = load_app(settings.target)
    with startup_errors():
        return trio.run(_serve_alone, app, settings)


async def _serve_alone(app: Any, settings: Settings) -> int:
    service = Service(app, settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(obey_signals, service.stop, service.force)
        await service.run(
            lambda urls: say(f"wsframework serves {settings.target} on {', '.join(urls)} (Ctrl+C to stop)")
        )
        nursery.cancel_scope.cancel()
    return service.exit_code


def serve_as_worker(settings: Settings, post: Post) -> int:
    """Serve as a worker until the parent says so or is gone; return the exit code.

    The parent is told what keeps it from starting, and shows it.
    """
    raise_file_limit()
    keep_freed_memory()
    with socket.socket(fileno=post.line) as line:
        lifeline = Lifeline(line)
        try:
            app = load_app(settings.target)
            if post.first and post.workers > 1 and isinstance(app, App):
                _warn_of_many_hubs(post.workers)
            with startup_errors():
                return trio.run(_serve_as_worker, app, settings, post, lifeline)
        except click.ClickException as error:
            lifeline.refuse(error.format_message())
            return error.exit_code


def _warn_of_many_hubs(workers: int) -> None:
    logger.warning(
        "%d workers have a hub each: a broadcast reaches only the clients of its own process. If clients have to hear "
        "each other, serve with --workers 1; a hub over several processes does not exist yet",
        workers,
    )


async def _serve_as_worker(app: Any, settings: Settings, post: Post, lifeline: Lifeline) -> int:
    service = Service(app, settings, post.sockets)
    async with trio.open_nursery() as nursery:
        await nursery.start(_stop_on_signals, service)
        nursery.start_soon(lifeline.listen, partial(_obey, service))
        await service.run(lambda urls: lifeline.ready())
        nursery.cancel_scope.cancel()
    return service.exit_code


async def _stop_on_signals(service: Service, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Drain for any signal and any number of them: a service manager may send its own to every process."""
    with trio.open_signal_receiver(*CODES) as signals:
        task_status.started()
        async for number in signals:
            service.stop(CODES[number])


def _obey(service: Service, verb: str, code: CloseCode) -> None:
    if verb == STOP:
        service.force()
    else:
        service.stop(code)
