"""A Trio run that stands still between two steps, for tests that decide what happens in which tick.

A state machine of hypothesis is no async code: its rules return. So the run has a thread of its own, and the task that
takes the steps holds up its whole loop while it waits for the next one. Nothing happens in between, and the same steps
have the same effect each time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from queue import SimpleQueue
from threading import Thread
from typing import Any

import trio
from trio.testing import MockClock

Step = Callable[[], Awaitable[Any]]


class StepwiseRun:
    """Calls async functions, each while Trio runs for exactly as long as that takes. Its clock never moves.

    Args:
        around: what is open all the while.
    """

    def __init__(self, around: AbstractAsyncContextManager[Any]) -> None:
        self.nursery: trio.Nursery
        self._around = around
        self._error: BaseException | None = None
        self._steps: SimpleQueue[Step | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()
        self.do(trio.lowlevel.checkpoint)

    def do(self, step: Step) -> Any:
        """Take a step. Raises what it raises, or what ended the run."""
        if self._error is not None:
            raise self._error
        self._steps.put(step)
        result, error = self._results.get()
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        """Leave what is open, and let the run end."""
        self._steps.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            trio.run(self._main, clock=MockClock())
        except BaseException as error:
            self._error = error
            self._results.put((None, error))

    async def _main(self) -> None:
        async with self._around, trio.open_nursery() as self.nursery:
            while (step := self._steps.get()) is not None:  # the whole run waits here, on purpose
                try:
                    result = await step()
                except Exception as error:
                    self._results.put((None, error))
                else:
                    self._results.put((result, None))
            self.nursery.cancel_scope.cancel()
