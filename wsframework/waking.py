"""How a task waits for a message, is woken for it, and lets others run: by trio's own means, at little cost.

`trio.lowlevel.wait_task_rescheduled` yields to trio's scheduler an object that says how to abort the wait. The
scheduler wakes the task with an `outcome.Outcome`, which has the value to return or the error to raise. For one
connection the first is always the same, and so is the second unless the wait was aborted. Made once, they halve what a
wait and a wake-up cost, which is a fifth of the time of an echoed message (``python -m benchmarks.costs tasks``).

Who waits is a generator, as trio's own waits are at the bottom, and not a coroutine::

    @awaitable
    def receive(self):
        woken = yield trap
        if woken is not WOKEN:
            woken.unwrap()  # raises Cancelled
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, ClassVar, Final, NewType, ParamSpec, TypeVar

from outcome import Outcome
from trio.lowlevel import Abort, checkpoint, checkpoint_if_cancelled, wait_task_rescheduled

P = ParamSpec("P")
T = TypeVar("T")

# A checkpoint costs more than the whole work for an echoed message (``python -m benchmarks.costs tasks``). So
# receive and send check for cancellation every time, and let other tasks run after this many messages that did not
# have to wait.
BURST = 32

# What is yielded to wait. One task at a time may wait with it.
Trap = NewType("Trap", object)


class _Woken(Outcome[None]):
    """Nothing, any number of times; an `outcome.Value` can be unwrapped once."""

    __slots__ = ()

    def unwrap(self) -> None:
        return None

    def send(self, gen: Generator[Any, None, Any]) -> Any:
        return gen.send(None)

    async def asend(self, agen: Any) -> Any:
        return await agen.asend(None)


WOKEN: Final = _Woken()
"""Wakes a task that waits with a `Trap`: ``trio.lowlevel.reschedule(task, WOKEN)``."""


def make_trap(abort: Callable[[Any], Abort]) -> Trap:
    """Return what `trio.lowlevel.wait_task_rescheduled` yields, to wait with it as often as one likes.

    Args:
        abort: called when the task that waits is cancelled, as trio describes it.
    """
    waiting = wait_task_rescheduled(abort)  # noqa: ASYNC105 - of what it does only the first half is wanted
    try:
        return Trap(waiting.send(None))
    finally:
        waiting.close()


def awaitable(generator: Callable[P, Generator[Any, Any, T]]) -> Callable[P, Awaitable[T]]:
    """Have what a generator function returns be awaited: `types.coroutine`, with a type that a coroutine fits too."""
    return types.coroutine(generator)


class Burst:
    """Whoever may go on for many messages without waiting, and is to let others run in between."""

    __slots__ = ("_burst",)

    _burst_size: ClassVar[int] = BURST

    def __init__(self) -> None:
        self._burst = self._burst_size

    def _checkpoint(self) -> Coroutine[Any, Any, None]:
        """Return a checkpoint to await: one that lets other tasks run if that is due, else one for cancellation only.

        It is trio's own. A coroutine around it would cost each message one more.
        """
        self._burst -= 1
        if self._burst:
            return checkpoint_if_cancelled()  # noqa: ASYNC105 - who calls this awaits it
        self._burst = self._burst_size
        return checkpoint()  # noqa: ASYNC105
