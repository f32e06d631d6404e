"""Workers that are no processes: a test says when they serve, and when they end."""

from __future__ import annotations

from itertools import count

import trio
from trio.testing import wait_all_tasks_blocked

from wsframework import CloseCode

KILLED = -9


class FakeWorker:
    """A worker that keeps what it was told, and ends when it is told to if ``obeys``."""

    def __init__(self, pid: int, *, obeys: bool = True) -> None:
        self.pid = pid
        self.refusal = ""
        self.told: list[CloseCode | str] = []
        self.begun = trio.current_time()
        self.closed = False
        self.obeys = obeys
        self._serves = trio.Event()
        self._ended = trio.Event()
        self._returncode: int | None = None

    # What a test does

    def serve(self) -> None:
        self._serves.set()

    def end(self, returncode: int = 0, refusal: str = "") -> None:
        if self._returncode is None:
            self._returncode = returncode
            self.refusal = refusal
            self._ended.set()

    @property
    def alive(self) -> bool:
        return self._returncode is None

    # What a parent does

    async def wait_ready(self) -> bool:
        async with trio.open_nursery() as nursery:
            for event in (self._serves, self._ended):
                nursery.start_soon(self._cancel_after, event, nursery.cancel_scope)
        return self._serves.is_set()

    async def _cancel_after(self, event: trio.Event, scope: trio.CancelScope) -> None:
        await event.wait()
        scope.cancel()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self._returncode is not None
        return self._returncode

    def drain(self, code: CloseCode) -> None:
        self.told.append(code)
        if self.obeys:
            self.end()

    def stop(self) -> None:
        self.told.append("stop")
        if self.obeys:
            self.end()

    def kill(self) -> None:
        if self.alive:
            self.told.append("kill")
            self.end(KILLED)

    def close(self) -> None:
        self.closed = True


class FakeStarter:
    """Starts such workers, and keeps them all in the order of their start."""

    def __init__(self, *, obey: bool = True, serve: bool = True) -> None:
        self.workers: list[FakeWorker] = []
        self.obey = obey
        self.serve = serve
        self.seconds = 0.0  # that it takes to start one
        self._pids = count(1)
        self._another = trio.Event()

    async def __call__(self) -> FakeWorker:
        await trio.sleep(self.seconds)
        worker = FakeWorker(next(self._pids), obeys=self.obey)
        if self.serve:
            worker.serve()
        self.workers.append(worker)
        self._another.set()
        self._another = trio.Event()
        return worker

    @property
    def alive(self) -> list[FakeWorker]:
        return [worker for worker in self.workers if worker.alive]

    @property
    def last(self) -> FakeWorker:
        return self.workers[-1]

    async def wait_started(self, number: int) -> FakeWorker:
        """Wait for the worker of that number, counted from 1; the virtual clock jumps to it."""
        while len(self.workers) < number:
            await self._another.wait()
        await wait_all_tasks_blocked()
        return self.workers[number - 1]
