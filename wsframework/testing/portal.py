"""A Trio run in a thread of its own, for code that knows no Trio."""

from __future__ import annotations

import queue
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import trio

from ..errors import WebSocketStateError

T = TypeVar("T")


class Portal:
    """Calls async functions from blocking code. The thread lives while somebody is inside: ``with portal:``.

    Entering it again, from the same thread or from another, shares the run.

    Args:
        options: of ``trio.run``.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._users = 0
        self._thread: threading.Thread
        self._token: trio.lowlevel.TrioToken
        self._nursery: trio.Nursery

    def __enter__(self) -> Portal:
        if trio.lowlevel.in_trio_run():
            raise WebSocketStateError(
                "the blocking test client cannot be used inside Trio; use `async with connect(app) as client`"
            )
        with self._lock:
            if not self._users:
                self._start()
            self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                trio.from_thread.run_sync(self._nursery.cancel_scope.cancel, trio_token=self._token)
                self._thread.join()

    def call(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run an async function in the run, and return or raise what it does."""
        return trio.from_thread.run(function, *args, trio_token=self._token)

    def start(self, function: Callable[..., Awaitable[Any]]) -> Any:
        """Start a task that lives in the run, as ``nursery.start`` does; it must contain its own errors."""
        return self.call(self._nursery.start, function)

    def _start(self) -> None:
        ready: queue.SimpleQueue[None] = queue.SimpleQueue()

        async def main() -> None:
            async with trio.open_nursery() as self._nursery:
                self._token = trio.lowlevel.current_trio_token()
                ready.put(None)
                await trio.sleep_forever()

        # A daemon: a test that is killed in the middle does not have to wait for it.
        run = partial(trio.run, main, **self._options)
        self._thread = threading.Thread(target=run, name="wsframework test client", daemon=True)
        self._thread.start()
        ready.get()
