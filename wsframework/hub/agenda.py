"""Things that a hub does later, all by one task."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf

import trio

Job = Callable[[], None]


class Agenda:
    """Calls functions at their time. They must not wait, and must not raise.

    Attributes:
        open: the hub has not stopped, so that what is noted will be done.
    """

    def __init__(self) -> None:
        self.open: bool = True
        self._jobs: list[tuple[float, int, Job]] = []
        self._numbers = count()
        self._news = trio.lowlevel.ParkingLot()

    def at(self, time: float, job: Job) -> None:
        """Have a function called at this time of Trio's clock, or as soon as the agenda runs."""
        heappush(self._jobs, (time, next(self._numbers), job))
        self._news.unpark_all()

    async def run(self) -> None:
        """Call them until cancelled."""
        self.open = True
        while True:
            with trio.move_on_at(self._jobs[0][0] if self._jobs else inf):
                await self._news.park()
            now = trio.current_time()
            while self._jobs and self._jobs[0][0] <= now:
                heappop(self._jobs)[2]()

    def close(self) -> None:
        """Call none of them any more, until it runs again."""
        self.open = False
        self._jobs.clear()
