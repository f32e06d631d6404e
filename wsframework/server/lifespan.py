"""Runs an application's lifespan around the server: startup before the first connection, shutdown after the last."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from ..errors import StartupError

logger: logging.Logger = logging.getLogger("wsframework.server")


def check_application(app: Any) -> None:
    """Check that this can be called as one. Raises ``TypeError``."""
    if not callable(app):
        raise TypeError(f"an application is an App, an endpoint class or another ASGI application, not {app!r}")


@asynccontextmanager
async def run_lifespan(
    app: Any, *, startup_timeout: float = 60.0, shutdown_timeout: float = 60.0
) -> AsyncIterator[dict[str, Any]]:
    """Have the application alive inside the block; give the state that its lifespan yields.

    An application without a lifespan, which raises on the lifespan scope, is served as it is. One that fails later
    takes the server down with its error: what it held together is gone.

    Raises:
        StartupError: the application said that it cannot start, or took too long.
        TypeError: this is no application.
    """
    check_application(app)
    lifespan = _Lifespan(app)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lifespan.run)
        try:
            with trio.move_on_after(startup_timeout) as patience:
                await lifespan.started.wait()
            if patience.cancelled_caught:
                lifespan.refusal = f"its startup took longer than {startup_timeout:g} s"
            if lifespan.refusal is None:
                try:
                    yield lifespan.state
                finally:
                    with trio.move_on_after(shutdown_timeout, shield=True) as patience:
                        await lifespan.stop()
                    if patience.cancelled_caught:
                        logger.error("the application's shutdown was cancelled after %g s", shutdown_timeout)
        finally:
            lifespan.scope.cancel()
    # Down here, so that it does not come in a group.
    if lifespan.refusal is not None:
        told = lifespan.refusal.strip()
        gap = "\n" if "\n" in told else " "  # a traceback begins in a line of its own
        raise StartupError(f"the application cannot start:{gap}{told}")


class _Lifespan:
    def __init__(self, app: Any) -> None:
        self._app = app
        self._asked = False
        self._failed_to_stop = False
        # Shielded, so that a server that is cancelled still shuts its application down in order.
        self.scope = trio.CancelScope(shield=True)
        self.state: dict[str, Any] = {}
        self.refusal: str | None = None
        self.started = trio.Event()
        self._stopping = trio.Event()
        self._ended = trio.Event()

    async def run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            with self.scope:
                await self._app(scope, self._receive, self._send)
        except Exception:
            if self.started.is_set() and self.refusal is None and not self._failed_to_stop:
                raise
            logger.debug("the application has no lifespan, or has told that it failed", exc_info=True)
        finally:
            self.started.set()
            self._ended.set()

    async def stop(self) -> None:
        self._stopping.set()
        await self._ended.wait()

    async def _receive(self) -> dict[str, str]:
        if not self._asked:
            self._asked = True
            await trio.lowlevel.checkpoint()
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, event: MutableMapping[str, Any]) -> None:
        await trio.lowlevel.checkpoint()
        match event["type"]:
            case "lifespan.startup.complete":
                self.started.set()
            case "lifespan.startup.failed":
                self.refusal = event.get("message") or "it gave no reason"
                self.started.set()
            case "lifespan.shutdown.failed":
                self._failed_to_stop = self._stopping.is_set()  # else it fails while it is needed, and raises that
                logger.error("the application's shutdown failed: %s", event.get("message", ""))
