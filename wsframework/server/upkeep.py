"""What connections leave for later: deadlines to look at, writes to join, bytes to read on. Two tasks serve them all.

A cancel scope per message costs as much as the message (``python -m benchmarks.costs tasks``), so a connection only
writes down when it wants to be looked at, and one sweeper sleeps until the earliest of those times. A connection that
has more to handle lets its replies gather, and one flusher writes them a scheduler tick later at the latest, joined. It
also lets those read on who have got more at once than may be handled at once.

A sweeper that wakes up late knows that something has blocked the event loop: what clients sent in time has not been
read, what they would have taken was not offered. So it lets that happen before it judges anybody.
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from math import inf
from typing import Protocol

import trio
from trio.lowlevel import ParkingLot

from .containment import let_go

_LATE = 0.2  # seconds; a loop that works is late by a few milliseconds
_CATCH_UP = 1.0  # seconds that clients then have at most
_TURN = 16  # connections that read on in one tick: each takes 64 frames at most, or a few that inflate a large message


class Charge(Protocol):
    """What the upkeep looks after."""

    next_sweep: float

    def sweep(self, now: float) -> float:
        """Look at every deadline; return when to look again, or ``inf``."""

    def flush(self) -> None:
        """Write what has gathered."""

    def abandon(self) -> None:
        """Let go of everything: one of the others raised what it must not."""


class Reading(Charge, Protocol):
    """What reads in turns."""

    def read_on(self) -> None:
        """Take in more of what has come already."""


class Upkeep:
    """The sweeper and the flusher of one server. Times are those of `trio.current_time`."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Charge]] = []
        self._order = count()
        self._sleep = trio.CancelScope()
        self._gathering: list[Charge] = []
        self._behind: deque[Reading] = deque()
        self._idle = ParkingLot()

    def watch(self, charge: Charge, at: float) -> None:
        """Have ``charge`` swept at this time or earlier. What it asked for before stays in force if it was earlier."""
        if at >= charge.next_sweep:
            return
        charge.next_sweep = at
        heapq.heappush(self._heap, (at, next(self._order), charge))
        if at < self._sleep.deadline:
            self._sleep.deadline = max(at, trio.current_time())

    def flush_soon(self, charge: Charge) -> None:
        """Have ``charge`` flushed before the next scheduler tick is over."""
        if not self._gathering:
            self._idle.unpark()
        self._gathering.append(charge)

    def read_on_soon(self, reading: Reading) -> None:
        """Have ``reading`` read on in a later tick, when those who asked before have had their turn."""
        if not self._behind:
            self._idle.unpark()
        self._behind.append(reading)

    async def run(self) -> None:
        """Look after everything until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._flush_for_ever)
            await self._sweep_for_ever()

    async def _sweep_for_ever(self) -> None:
        while True:
            began = trio.current_time()
            with trio.CancelScope(deadline=self._heap[0][0] if self._heap else inf) as self._sleep:
                await trio.sleep_forever()
            late = trio.current_time() - max(began, self._sleep.deadline)
            if late > _LATE:
                await trio.sleep(min(late, _CATCH_UP))
            self._sweep()

    def _sweep(self) -> None:
        now = trio.current_time()
        while self._heap and self._heap[0][0] <= now:
            at, _, charge = heapq.heappop(self._heap)
            if at == charge.next_sweep:  # not overtaken by an earlier wish
                charge.next_sweep = inf
                try:
                    self.watch(charge, charge.sweep(now))
                except Exception:
                    let_go(charge)

    async def _flush_for_ever(self) -> None:
        while True:
            while not self._gathering and not self._behind:
                await self._idle.park()
            gathered, self._gathering = self._gathering, []
            for charge in gathered:
                try:
                    charge.flush()
                except Exception:
                    let_go(charge)
            for _ in range(min(_TURN, len(self._behind))):
                reading = self._behind.popleft()
                try:
                    reading.read_on()
                except Exception:
                    let_go(reading)
            await trio.lowlevel.checkpoint()
