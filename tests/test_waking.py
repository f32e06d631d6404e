"""A task waits with a trap that is kept, as it would with trio's own `wait_task_rescheduled`."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Generator
from typing import Any

import pytest
import trio
from outcome import Outcome, Value
from trio.lowlevel import Abort, Task, current_task, reschedule
from trio.testing import MockClock, wait_all_tasks_blocked

from wsframework.waking import WOKEN, awaitable, make_trap


class Sleeper:
    """Waits, again and again, with one trap."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self.aborted = 0
        self._trap = make_trap(self._abort)

    @awaitable
    def wait(self) -> Generator[Any, Any, str]:
        """Wait to be woken."""
        self.task = current_task()
        woken = yield self._trap
        if woken is not WOKEN:
            woken.unwrap()
        return "woken"

    def wake(self, outcome: Outcome[Any] = WOKEN) -> None:
        assert self.task is not None
        task, self.task = self.task, None
        reschedule(task, outcome)

    def _abort(self, raise_cancel: object) -> Abort:
        self.aborted += 1
        self.task = None
        return Abort.SUCCEEDED


async def test_any_number_of_waits(autojump_clock: MockClock) -> None:
    """One trap and one outcome serve for all of them."""
    sleeper, woken = Sleeper(), 0

    async def sleep() -> None:
        nonlocal woken
        while True:
            assert await sleeper.wait() == "woken"
            woken += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep)
        for number in range(100):
            await wait_all_tasks_blocked()
            assert woken == number
            sleeper.wake()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert (woken, sleeper.aborted) == (100, 1)


async def test_cancelled_while_waiting(autojump_clock: MockClock) -> None:
    """The abort function is called and Cancelled is raised; the next wait is like the first."""
    sleeper = Sleeper()
    for number in range(3):
        with trio.move_on_after(1) as scope:
            await sleeper.wait()
        assert scope.cancelled_caught
        assert sleeper.aborted == number + 1


async def test_cancelled_before_it_waits() -> None:
    """That is seen at once, as trio sees it in its own waits."""
    sleeper = Sleeper()
    with trio.CancelScope() as scope:
        scope.cancel()
        await sleeper.wait()
    assert scope.cancelled_caught
    assert sleeper.aborted == 1


async def test_woken_by_another_outcome() -> None:
    """An error or a value that somebody else wakes it with is what it would be with trio's own wait."""
    sleeper = Sleeper()

    async def sleep() -> None:
        assert await sleeper.wait() == "woken"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep)
        await wait_all_tasks_blocked()
        sleeper.wake(Value("anything"))


async def test_the_outcome_for_all() -> None:
    """It is nothing, in each of the ways in which an outcome is passed on."""

    def generator() -> Generator[str, Any, None]:
        assert (yield "first") is None
        yield "second"

    started = generator()
    next(started)
    assert WOKEN.unwrap() is WOKEN.unwrap() is None
    assert WOKEN.send(started) == "second"

    async def numbers() -> Any:
        assert (yield 1) is None
        yield 2

    ours = numbers()
    await ours.asend(None)
    assert await WOKEN.asend(ours) == 2
    await ours.aclose()


def test_nothing_is_left_running(recwarn: pytest.WarningsRecorder) -> None:
    """Making a trap leaves no coroutine that was never awaited."""
    sleeper = weakref.ref(Sleeper())
    gc.collect()
    assert sleeper() is None
    assert not recwarn.list
