"""The server: listening sockets, the application's lifespan around them, and the way it stops.

Stopping is a phase. From the wish to drain on, readiness is false and upgrades are answered with 503, while sockets
are still accepted, so that whoever asks gets that answer. Clients get what is queued for them and a close frame, spread
over time; handlers that still run at the deadline are cancelled; the lifespan ends last.
"""

from __future__ import annotations

import logging
from typing import Any

import trio
from hypercorn.config import Config

from ..close import CloseCode, check_close
from ..compression import Compression, choose
from ..errors import StartupError, WebSocketStateError
from ..health import Health
from ..limits import Limits
from .acceptor import Acceptor
from .lifespan import run_lifespan
from .listeners import Listener, open_listeners
from .reception import Reception
from .statistics import ServerStatistics
from .throttle import longest_message
from .tls import make_context
from .watchdog import PATIENCE, Watchdog

logger: logging.Logger = logging.getLogger("wsframework.server")

_REASONS: dict[int, str] = {
    CloseCode.GOING_AWAY: "the server is stopping",
    CloseCode.SERVICE_RESTART: "the server is restarting",
}


class Server:
    """Serves an ASGI application, once: ``urls = await nursery.start(server.run)``.

    Args:
        app: an `App`, an endpoint class, or any other ASGI application that runs on Trio.
        config: hypercorn's ``Config``: binds (TCP, ``unix:``, ``fd://``), certificates, timeouts, ``root_path``.
            127.0.0.1:8000 without one.
        limits: what clients may cost.
        compression: ``"deflate"``, or `Deflate` with options: compress messages where the application does not say.
        health: answer ``/healthz`` and ``/readyz`` in front of the application, see `Health`.
        watchdog: seconds that a handler may block the event loop before a warning names it; None does not watch.
    """

    def __init__(
        self,
        app: Any,
        config: Config | None = None,
        *,
        limits: Limits | None = None,
        compression: Compression = None,
        health: bool = False,
        watchdog: float | None = PATIENCE,
    ) -> None:
        if config is not None and not isinstance(config, Config):
            raise TypeError(f"config is hypercorn's Config, with bind = ['127.0.0.1:8000'], not {config!r}")
        if limits is not None and not isinstance(limits, Limits):
            raise TypeError(f"limits is a Limits, such as Limits(message=65536), not {limits!r}")
        self._app = Health(app, lambda: self.ready) if health else app
        self._watchdog = None if watchdog is None else Watchdog(watchdog)
        self._config = Config() if config is None else config
        self._limits = Limits() if limits is None else limits
        self._compression = choose(compression)
        self._wish = trio.Event()
        self._code = int(CloseCode.GOING_AWAY)
        self._reception: Reception | None = None
        self._begun = self._accepting = False

    @property
    def ready(self) -> bool:
        """It serves, and nobody has asked it to stop."""
        return self._accepting and not self._wish.is_set()

    def drain(self, code: int = CloseCode.SERVICE_RESTART) -> None:
        """Begin to stop: `run` returns when every client has been told, and every handler has ended.

        Clients get this close code, so that they know whether to come back: 1012 when another server takes over, which
        is what a deployment does, 1001 when this was the last. What still runs after ``Limits.drain_timeout`` is
        cancelled. It waits for nothing, and only the first call counts.
        """
        check_close(code, "")
        if not self._wish.is_set():
            self._code = int(code)
            self._wish.set()

    def statistics(self) -> ServerStatistics:
        """Return what has been counted so far."""
        if self._reception is None:
            return ServerStatistics(open=0, websockets=0, accepted=0, http=0, lost=0, refused={}, closed={})
        return self._reception.statistics()

    async def run(self, *, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `drain` or a cancellation. Started with the URLs, once connections are accepted.

        Raises:
            StartupError: an address cannot be bound, a certificate cannot be read, or the application cannot start.
            WebSocketStateError: it has been run before.

        If it is cancelled: it accepts no more, closes every WebSocket with 1001, lets every ``on_disconnect`` run,
        gives clients a second to answer, and shuts the application's lifespan down.
        """
        if not trio.lowlevel.in_trio_task():
            raise StartupError("this server runs on Trio: write trio.run(serve, app), not asyncio.run(serve(app))")
        if self._begun:
            raise WebSocketStateError("a Server serves once; make another one")
        self._begun = True
        _warn_of_messages_that_never_arrive(self._limits)
        config = self._config
        tls = make_context(config)
        listeners = open_listeners(config, self._limits)
        try:
            lifespan = run_lifespan(
                self._app, startup_timeout=config.startup_timeout, shutdown_timeout=config.shutdown_timeout
            )
            async with lifespan as state:
                self._reception = Reception(self._app, config, self._limits, state, tls, self._compression)
                async with self._reception.running():
                    try:
                        await self._accept_until_drained(listeners, self._reception, task_status)
                    finally:  # before anybody is waited for: who comes now is told by the system at once
                        self._accepting = False
                        _close_all(listeners)
        finally:
            _close_all(listeners)

    async def _accept_until_drained(
        self, listeners: list[Listener], reception: Reception, task_status: trio.TaskStatus[list[str]]
    ) -> None:
        async with trio.open_nursery() as nursery:
            if self._watchdog is not None:
                await nursery.start(self._watchdog.run)
            for listener in listeners:
                nursery.start_soon(Acceptor(listener, reception.take_in).run)
            self._accepting = True
            task_status.started([listener.url for listener in listeners])
            await self._wish.wait()
            seconds = self._limits.drain_timeout
            open_now = reception.statistics().websockets
            if open_now:
                what = "1 WebSocket has" if open_now == 1 else f"{open_now} WebSockets have"
                logger.info("stopping: %s %g s to end", what, seconds)
            with trio.move_on_after(seconds) as patience:
                await reception.drain(self._code, _REASONS.get(self._code, ""))
            if patience.cancelled_caught and reception.busy:
                logger.warning("handlers still run after %g s; they are cancelled", seconds)
            elif patience.cancelled_caught:
                logger.info("some clients have not answered after %g s; they are cut off", seconds)
            nursery.cancel_scope.cancel()


def _warn_of_messages_that_never_arrive(limits: Limits) -> None:
    # No ValueError: such a message may arrive if it is compressed, since the rate is about bytes on the wire.
    longest = longest_message(limits)
    if limits.message > longest:
        logger.warning(
            "a message may have %d bytes, but one of more than about %d on the wire never arrives: with a "
            "bytes_per_second of %g its client is closed with 1008 in the middle of it. Let message be at most %d, "
            "what may come at once, or bytes_per_second more",
            limits.message,
            longest,
            limits.bytes_per_second,
            limits.bytes_per_second or 0,
        )


def _close_all(listeners: list[Listener]) -> None:
    for listener in listeners:
        listener.close()


async def serve(
    app: Any,
    config: Config | None = None,
    *,
    limits: Limits | None = None,
    compression: Compression = None,
    health: bool = False,
    watchdog: float | None = PATIENCE,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an ASGI application until cancelled: ``urls = await nursery.start(serve, app, config)``.

    The same as the `run` of a `Server` with these arguments, for programs that need no more of it.
    """
    server = Server(app, config, limits=limits, compression=compression, health=health, watchdog=watchdog)
    await server.run(task_status=task_status)
