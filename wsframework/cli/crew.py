"""The workers that are alive, and the way they are stopped: asked, then told, then killed."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from ..close import CloseCode
from .worker import StartWorker, Worker

logger: logging.Logger = logging.getLogger("wsframework.supervisor")

# Beyond the drain timeout, for hooks that are cancelled to end and for the lifespan's shutdown.
_GRACE = 5.0
# From the second signal to SIGKILL: a worker gives its clients one second, and the lifespan gets the rest.
_FORCED = 3.0
# From SIGKILL to the end, which only a process that hangs inside the system outlives.
_BURIAL = 5.0


class Crew:
    """Starts workers and passes on the wish to stop.

    Args:
        start: starts a worker.
        drain_timeout: seconds that a worker takes to drain at most; a little later it is killed.

    Attributes:
        exit_code: of the parent: 0 as long as every worker that was told to stop has ended well.
    """

    def __init__(self, start: StartWorker, drain_timeout: float) -> None:
        self._start = start
        self._workers: set[Worker] = set()
        self._patience = drain_timeout + _GRACE
        self._overdue = trio.CancelScope()
        self._code: CloseCode | None = None
        self._told = trio.Event()
        self.exit_code: int = 0

    @property
    def stopping(self) -> bool:
        """No more workers are wanted."""
        return self._code is not None

    async def wait_stopping(self) -> None:
        """Wait until no more workers are wanted."""
        await self._told.wait()

    def stop(self, code: CloseCode) -> None:
        """Tell every worker to drain; `kill_the_overdue` ends those that take too long."""
        self._code = code
        self._told.set()
        self._overdue.deadline = trio.current_time() + self._patience
        for worker in self._workers:
            worker.drain(code)

    def force(self) -> None:
        """Tell every worker to stop at once."""
        self._overdue.deadline = min(self._overdue.deadline, trio.current_time() + _FORCED)
        for worker in self._workers:
            worker.stop()

    async def kill_the_overdue(self) -> None:
        """Wait until the time to stop is over, and kill whoever still runs."""
        with self._overdue:
            await trio.sleep_forever()
        for worker in self._workers:
            self._kill(worker)

    async def put_down(self, worker: Worker) -> None:
        """Tell one worker to drain, wait for its end, and kill it when it takes too long."""
        worker.drain(CloseCode.SERVICE_RESTART)
        with trio.move_on_after(self._patience):
            await worker.wait()
            return
        self._kill(worker)

    def _kill(self, worker: Worker) -> None:
        logger.error("worker %d has not ended in time; it is killed", worker.pid)
        worker.kill()

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """Start a worker; when the block ends, it has ended, or is killed.

        Its end must be waited for in the block.
        """
        worker = await self._start()
        self._workers.add(worker)
        try:
            if self._code is not None:  # while it was being started
                worker.drain(self._code)
            yield worker
        finally:
            self._workers.discard(worker)
            with trio.move_on_after(_BURIAL, shield=True):
                worker.kill()
                await worker.wait()
            worker.close()

    def note_end(self, returncode: int) -> None:
        """Take the exit code of a worker that was told to stop into account."""
        # A service manager's own SIGTERM kills a worker that has not come to handle it.
        if returncode not in (0, -signal.SIGTERM):
            self.exit_code = 1
