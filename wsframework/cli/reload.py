"""Has one worker serve, and another one after every change of a source file."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import trio

from ..errors import StartupError
from .crew import Crew
from .supervisor import describe_end
from .worker import Worker

logger: logging.Logger = logging.getLogger("wsframework.reload")

OnChange = Callable[[list[Path]], None]


class Watched(Protocol):
    """What tells of changes."""

    async def watch(self, on_change: OnChange) -> None:
        """Call ``on_change`` with the files that have changed, until cancelled."""


class Reloader:
    """Runs the one worker of a crew until the crew stops.

    The old worker ends before the new one starts, so that an application never runs twice. Who connects meanwhile waits
    in the listening socket, which the parent keeps open.
    """

    def __init__(self, crew: Crew, sources: Watched) -> None:
        self._crew = crew
        self._sources = sources
        self._changed = trio.Event()
        self._has_served = False

    async def run(self, announce: Callable[[], None]) -> None:
        """Serve, and call ``announce`` when the first worker does, until the crew stops.

        Raises:
            StartupError: in a group: the first worker cannot start. Later ones are waited for: the next change may
                mend what is wrong.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sources.watch, self._note)
            while not self._crew.stopping:
                self._changed = trio.Event()
                await self._serve_once(announce)
            nursery.cancel_scope.cancel()

    def _note(self, files: list[Path]) -> None:
        if not self._changed.is_set():
            logger.info("%s changed, starting anew", ", ".join(_shorten(file) for file in files[:3]))
            self._changed.set()

    async def _serve_once(self, announce: Callable[[], None]) -> None:
        """Have a worker serve to its end, and wait until there is a reason for the next."""
        async with self._crew.worker() as worker, trio.open_nursery() as nursery:
            nursery.start_soon(self._put_down_when_changed, worker)
            if await worker.wait_ready():
                self._announce(announce)
            returncode = await worker.wait()
            nursery.cancel_scope.cancel()
        if self._crew.stopping:
            self._crew.note_end(returncode)
        elif not self._changed.is_set():
            why = worker.refusal or f"the application {describe_end(returncode)}"
            if not self._has_served:
                raise StartupError(why)
            logger.error("%s\nwaiting for a change", why)
            await _wait_for_any(self._changed.wait, self._crew.wait_stopping)

    def _announce(self, announce: Callable[[], None]) -> None:
        if self._has_served:
            logger.info("serving again")
        else:
            self._has_served = True
            announce()

    async def _put_down_when_changed(self, worker: Worker) -> None:
        await self._changed.wait()
        await self._crew.put_down(worker)


def _shorten(file: Path) -> str:
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


async def _wait_for_any(*waits: Callable[[], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:

        async def wait(each: Callable[[], Awaitable[None]]) -> None:
            await each()
            nursery.cancel_scope.cancel()

        for each in waits:
            nursery.start_soon(wait, each)
