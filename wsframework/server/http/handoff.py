"""The hand-off to hypercorn: its Trio server serves a connection that is no WebSocket, and may hand it back."""

from __future__ import annotations

import copy
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from ...limits import Limits
from ..access import HTTPAccess
from ..head.reader import HTTP2_PREFACE
from ..scope import Peers
from ..streams import DeadlineStream, cut_when_cancelled
from .connection import ServedApp
from .http1 import HTTP1Connection
from .http2.connection import HTTP2Connection
from .http2.stream import ServeWebSocket
from .requests import RequestStream

# Takes a connection back: gets what was read of what is not for hypercorn.
GoOn = Callable[[bytes], Awaitable[None]]

logger: logging.Logger = logging.getLogger("wsframework.server")


class HandOff:
    """Serves HTTP/1.1 and HTTP/2 connections with hypercorn.

    Args:
        app: the ASGI application.
        config: hypercorn's configuration, as for hypercorn itself.
        state: the lifespan's state, copied for each connection.
        limits: where they say less than the configuration, they hold.
        serve_websocket: serves a WebSocket that came over HTTP/2.
    """

    def __init__(
        self, app: Any, config: Config, state: dict[str, Any], limits: Limits, serve_websocket: ServeWebSocket
    ) -> None:
        logged: Any = HTTPAccess(_with_checkpoints(app))
        self._served = ServedApp(ASGIWrapper(logged), _bounded(config, limits), WorkerContext(None))
        self._state = state
        self._limits = limits
        self._serve_websocket = serve_websocket
        self._open: set[RequestStream] = set()

    async def serve(self, stream: trio.abc.Stream, data: bytes, peers: Peers, go_on: GoOn) -> None:
        """Serve one connection to its end; an error ends only this connection.

        A connection may go on with what is not for hypercorn, an upgrade to WebSocket or a request that cannot be
        served. Then it is handed back open, while what the application still does behind its last answer goes on.
        In any other case it is closed at the end.

        Args:
            stream: the client.
            data: what was read from it before. Nothing, if it has agreed on HTTP/2 and has not begun.
            peers: who it is.
            go_on: called in a task of its own when the connection is handed back, with what was read.

        If it is cancelled: over HTTP/1.1 the connection is cut at once; over HTTP/2, see `HTTP2Connection`.
        """
        async with trio.open_nursery() as nursery:
            if not data or data.startswith(HTTP2_PREFACE):
                await self._serve_http2(stream, data, peers)
            else:
                await self._serve_http1(stream, data, peers, lambda head: nursery.start_soon(go_on, head))

    async def _serve_http1(
        self, stream: trio.abc.Stream, data: bytes, peers: Peers, on_return: Callable[[bytes], None]
    ) -> None:
        requests = RequestStream(DeadlineStream(stream, self._limits.write_timeout), data, self._limits, on_return)
        if self._served.context.terminated.is_set():
            requests.stop()
        self._open.add(requests)
        try:
            async with _closing(stream, lambda: not requests.returned):
                async with cut_when_cancelled(stream, lambda: not requests.returned):
                    await HTTP1Connection(self._served, self._new_state(), requests, peers).run()
        finally:
            self._open.discard(requests)

    async def _serve_http2(self, client: trio.abc.Stream, data: bytes, peers: Peers) -> None:
        stream = DeadlineStream(client, self._limits.write_timeout)
        connection = HTTP2Connection(
            self._served,
            self._new_state(),
            stream,
            data,
            peers,
            self._limits,
            self._serve_websocket,
        )
        async with _closing(client):
            await connection.run()

    def _new_state(self) -> ConnectionState:
        return ConnectionState(dict(self._state))

    async def stop(self) -> None:
        """Have idle connections close, and the others when they have been answered."""
        await self._served.context.terminated.set()
        for requests in list(self._open):
            requests.stop()


@asynccontextmanager
async def _closing(stream: trio.abc.Stream, is_ours: Callable[[], bool] = lambda: True) -> AsyncIterator[None]:
    """Log an error of the block, and close the stream behind it unless somebody else has it then."""
    try:
        yield
    except Exception:
        logger.exception("an HTTP connection failed; it was closed, the others go on")
    finally:
        if is_ours():
            # hypercorn closes what it serves, but not when it is cancelled, and not when closing in style fails.
            await trio.aclose_forcefully(stream)


def _with_checkpoints(app: Any) -> Any:
    """Have every ``send`` let other tasks run: hypercorn's returns at once, for ever, when the client is gone."""

    async def with_checkpoints(scope: Any, receive: Any, send: Any) -> None:
        async def send_and_let_run(event: Any) -> None:
            await send(event)
            await trio.lowlevel.checkpoint()

        await app(scope, receive, send_and_let_run)

    return with_checkpoints


def _bounded(config: Config, limits: Limits) -> Config:
    """Copy a configuration, with the limits in it of what hypercorn reads by itself."""
    config = copy.copy(config)
    config.h11_max_incomplete_size = min(config.h11_max_incomplete_size, limits.request_head)
    config.h2_max_header_list_size = min(config.h2_max_header_list_size, limits.request_head)
    if config.errorlog == "-":  # its default, for which hypercorn would add a handler of its own
        config.errorlog = logger
    return config
