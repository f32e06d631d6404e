"""Keeps a number of workers alive: one that ends is replaced, more and more slowly if the next ones end too."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable

import attrs
import trio

from ..errors import StartupError
from .crew import Crew
from .worker import Worker

logger: logging.Logger = logging.getLogger("wsframework.supervisor")

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_SETTLED = 60.0


@attrs.define
class Backoff:
    """How long to wait before the next try, in seconds: twice as long each time, up to half a minute."""

    _delay: float = _FIRST_DELAY

    def next(self, lived: float) -> float:
        """Return the delay after something that lived so long. Having lived for a minute counts as success."""
        if lived >= _SETTLED:
            self._delay = _FIRST_DELAY
        delay, self._delay = self._delay, min(2 * self._delay, _LONGEST_DELAY)
        return delay


@attrs.define(eq=False)
class _Place:
    """Where one worker serves after the other.

    Attributes:
        worker: the one that lives, or lived last.
        serves: it has begun to serve.
        retired: nobody follows it.
    """

    worker: Worker | None = None
    serves: bool = False
    retired: bool = False


class Supervisor:
    """Runs so many workers of a crew until the crew stops."""

    def __init__(self, crew: Crew, count: int) -> None:
        self._crew = crew
        self._count = count
        self._places: list[_Place] = []
        self._wish = trio.Event()

    async def run(self, announce: Callable[[], None]) -> None:
        """Start the workers, call ``announce`` when all serve, and keep their number until the crew stops.

        Raises:
            StartupError: in a group: a worker has ended before all served. Then all are killed.
        """
        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as starting:
                for _ in range(self._count):
                    starting.start_soon(nursery.start, self._keep)
            if self._crew.stopping:
                return
            announce()
            async with trio.open_nursery() as restarting:
                restarting.start_soon(self._restart_when_asked, nursery)
                await self._crew.wait_stopping()
                restarting.cancel_scope.cancel()

    def restart(self) -> None:
        """Wish that every worker is replaced by a new one, one after the other; each new one serves first."""
        self._wish.set()

    async def _restart_when_asked(self, nursery: trio.Nursery) -> None:
        while True:
            await self._wish.wait()
            self._wish = trio.Event()
            await self._restart_all(nursery)

    async def _restart_all(self, nursery: trio.Nursery) -> None:
        logger.info("restarting %d workers, one after the other", self._count)
        for place in list(self._places):
            try:
                await nursery.start(self._keep)
            except StartupError as error:
                logger.error("the restart has ended, the workers that serve go on: %s", error)
                return
            place.retired = True
            self._places.remove(place)
            if place.worker is not None:
                await self._crew.put_down(place.worker)
        logger.info("restarted")

    async def _keep(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Have a worker serve, and another when it ends. Started when the first one serves."""
        place = _Place()
        backoff = Backoff()
        while True:
            begun = trio.current_time()
            returncode = await self._live(place, task_status)
            if self._is_over(place):
                return
            delay = backoff.next(trio.current_time() - begun)
            _complain(place, returncode, delay)
            with trio.move_on_after(delay):
                await self._crew.wait_stopping()
            if self._is_over(place):
                return

    async def _live(self, place: _Place, task_status: trio.TaskStatus[None]) -> int:
        """Have one worker serve to its end."""
        async with self._crew.worker() as worker:
            is_first = place.worker is None
            place.worker = worker
            if place.retired and not self._crew.stopping:  # while it was being started
                await self._crew.put_down(worker)
                return await worker.wait()
            place.serves = await worker.wait_ready()
            if is_first:
                if not place.serves and not self._crew.stopping:
                    how = describe_end(await worker.wait())
                    raise StartupError(worker.refusal or f"worker {worker.pid} {how} before it served")
                self._places.append(place)
                task_status.started()
            returncode = await worker.wait()
        if self._crew.stopping and not place.retired:
            self._crew.note_end(returncode)
        return returncode

    def _is_over(self, place: _Place) -> bool:
        return self._crew.stopping or place.retired


def describe_end(returncode: int) -> str:
    """Say how a process has ended."""
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        return f"was killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed by signal {-returncode}"


def _complain(place: _Place, returncode: int, delay: float) -> None:
    assert place.worker is not None
    how = describe_end(returncode) if place.serves else f"could not start and {describe_end(returncode)}"
    why = f": {place.worker.refusal}" if place.worker.refusal else ""
    logger.error("worker %d %s; the next one starts in %g s%s", place.worker.pid, how, delay, why)
