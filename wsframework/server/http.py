"""The hand-off to hypercorn: all that is no WebSocket upgrade of HTTP/1.1 is replayed into its Trio server.

This is the one module that knows hypercorn's inner classes. Only ``Config`` and ``serve`` are its documented API, the
rest changed in 0.13 and in 0.17; so the dependency is pinned and `tests/net/test_http.py` is the contract.
"""

from __future__ import annotations

import logging
from typing import Any

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

logger: logging.Logger = logging.getLogger("wsframework.server")

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class HTTPSide:
    """Serves HTTP/1.1 and HTTP/2 connections with hypercorn.

    Args:
        app: the ASGI application.
        config: hypercorn's configuration, as for hypercorn itself.
        state: the lifespan's state, copied for each connection.
    """

    def __init__(self, app: Any, config: Config, state: dict[str, Any]) -> None:
        self._app = ASGIWrapper(app)
        self._config = config
        self._state = state
        self._context = WorkerContext(None)

    async def serve(self, stream: Stream, data: bytes) -> None:
        """Serve one connection to its end. ``data`` was read from it before; an error ends only this connection."""
        replay: Any = _Replay(stream, data)
        try:
            await TCPServer(self._app, self._config, self._context, ConnectionState(dict(self._state)), replay).run()
        except Exception:
            logger.exception("an HTTP connection failed; it was closed, the others go on")
        finally:
            # hypercorn closes what it serves, but not when it is cancelled, and not when closing in style fails.
            await trio.aclose_forcefully(stream)

    async def stop(self) -> None:
        """Have idle connections close."""
        await self._context.terminated.set()


class _Replay:
    """A stream that first gives again what was read from it before."""

    def __init__(self, stream: Stream, data: bytes) -> None:
        self._stream = stream
        self._data = data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._data:
            await trio.lowlevel.checkpoint()
            data, self._data = self._data, b""
            return data
        return bytes(await self._stream.receive_some(max_bytes))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
