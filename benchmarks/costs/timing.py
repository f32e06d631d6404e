"""Processor time of pieces of code, side by side."""

import time
from collections.abc import Awaitable, Callable, Mapping

import attrs
import trio

ROUNDS = 15
ROUND_SECONDS = 0.01

Case = Callable[[int], float]
"""Does something so many times and returns the processor time that it took, in seconds."""


@attrs.frozen
class Cost:
    """One line of a table."""

    name: str
    value: float
    unit: str


@attrs.frozen
class Table:
    """Costs that belong together. The first one is what the others are compared with."""

    title: str
    costs: list[Cost]

    def ratio(self, cost: Cost) -> float | None:
        """Return how many times the first one this is, if both have the same unit."""
        first = self.costs[0]
        return cost.value / first.value if cost is not first and cost.unit == first.unit and first.value else None


def repeat(function: Callable[[], object]) -> Case:
    """Call a function again and again."""

    def case(count: int) -> float:
        started = time.thread_time()
        for _ in range(count):
            function()
        return time.thread_time() - started

    return case


def in_trio(function: Callable[[int], Awaitable[float | None]]) -> Case:
    """Run an async function in Trio; it is told how often, and may return the time itself."""

    async def run(count: int) -> float:
        started = time.thread_time()
        measured = await function(count)
        return time.thread_time() - started if measured is None else measured

    return lambda count: trio.run(run, count)


def measure(title: str, cases: Mapping[str, Case], rounds: int | None = None) -> Table:
    """Measure all of them in turn, several times, and return the microseconds of each.

    Of the rounds the quickest counts: other programs can only add to what a piece of code takes.
    """
    counts = {name: _enough(case) for name, case in cases.items()}
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(ROUNDS if rounds is None else rounds):
        for name, case in cases.items():
            best[name] = min(best[name], case(counts[name]) / counts[name])
    return Table(title, [Cost(name, seconds * 1e6, "µs") for name, seconds in best.items()])


def _enough(case: Case) -> int:
    """Find out how often something has to be done for the clock to see it."""
    count = 1
    while case(count) < ROUND_SECONDS and count < 1_000_000:
        count *= 2
    return count
