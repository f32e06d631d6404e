"""The parent of workers: it opens the sockets and serves nothing itself, and it never imports the application."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence

import click
import trio

from ..server.listeners import Listener, open_listeners
from .crew import Crew
from .output import say
from .reload import Reloader
from .settings import Settings
from .signals import obey_signals
from .sources import Sources
from .startup import startup_errors
from .supervisor import Supervisor
from .worker import WorkerStarter, worker_command


def serve_with_workers(settings: Settings, arguments: Sequence[str]) -> int:
    """Have workers serve until a signal; return the exit code.

    Args:
        settings: of this process and of every worker.
        arguments: the command line that they were read from.

    Raises:
        click.ClickException: it cannot start.
    """
    if sys.platform == "win32":
        raise click.UsageError("--workers and --reload pass sockets on to other processes, which Windows cannot do so")
    with startup_errors():
        return trio.run(_serve_with_workers, settings, worker_command(arguments))


async def _serve_with_workers(settings: Settings, command: Sequence[str]) -> int:
    limits = settings.limits()
    listeners = open_listeners(settings.config(), limits)
    try:
        count = settings.workers or 1
        start = WorkerStarter(command, [listener.socket.fileno() for listener in listeners], count)
        crew = Crew(start, limits.drain_timeout)
        async with trio.open_nursery() as nursery:
            await nursery.start(obey_signals, crew.stop, crew.force)
            nursery.start_soon(crew.kill_the_overdue)
            if settings.reload:
                reloader = Reloader(crew, Sources(settings.folders, settings.reload_includes))
                await reloader.run(_announcer(settings, listeners))
            else:
                supervisor = Supervisor(crew, count)
                if _hears_of_hangups():
                    await nursery.start(_restart_at_hangup, supervisor)
                await supervisor.run(_announcer(settings, listeners))
            nursery.cancel_scope.cancel()
        return crew.exit_code
    finally:
        for listener in listeners:
            listener.close()


def _announcer(settings: Settings, listeners: Sequence[Listener]) -> Callable[[], None]:
    urls = ", ".join(listener.url for listener in listeners)
    count = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    how = "and reloads" if settings.reload else f"with {count}"
    return lambda: say(f"wsframework serves {settings.target} on {urls} {how} (Ctrl+C to stop)")


def _hears_of_hangups() -> bool:
    """Say whether SIGHUP is an operator's wish, and not the news that the terminal is closed, or to be ignored."""
    return not os.isatty(0) and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


async def _restart_at_hangup(
    supervisor: Supervisor, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            supervisor.restart()
