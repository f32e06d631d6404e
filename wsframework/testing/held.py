"""An async context that is entered and left from blocking code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any

import trio

from .portal import Portal


class Held:
    """An async context that a task of the portal holds open for a blocking block."""

    def __init__(self, portal: Portal, enter: Callable[[AsyncExitStack], Awaitable[Any]]) -> None:
        self._portal = portal
        self._enter = enter
        self._failure: BaseException | None = None
        self._outcome: BaseException | None = None
        self._leaving: trio.Event
        self._left: trio.Event

    def __enter__(self) -> Any:
        return self._portal.start(self._hold)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal.call(self._leave, error)
        if self._outcome is not None and self._outcome is not error:
            raise self._outcome

    async def _leave(self, failure: BaseException | None) -> None:
        self._failure = failure
        self._leaving.set()
        await self._left.wait()

    async def _hold(self, *, task_status: trio.TaskStatus[Any]) -> None:
        self._leaving, self._left = trio.Event(), trio.Event()
        entered = False
        try:
            async with AsyncExitStack() as stack:
                value = await self._enter(stack)
                entered = True
                task_status.started(value)
                await self._leaving.wait()
                if self._failure is not None:
                    raise self._failure
        except trio.Cancelled:
            raise
        except BaseException as error:
            if not entered:
                raise
            self._outcome = error
        finally:
            self._left.set()
