"""A connection that speaks HTTP/2: hypercorn's, in which WebSockets are our own (RFC 8441).

A stream that asks for a WebSocket becomes a `WebSocketStream`, which is a wire for a `Connection` like a socket is. So
a WebSocket over HTTP/2 has the same limits, deadlines and close codes as any other.

This module knows hypercorn's inner class `TCPServer` and what it is made of.
"""

from __future__ import annotations

from typing import Any

import trio
from hypercorn.typing import ConnectionState

from ....limits import Limits
from ...head.handshake import Handshake
from ...scope import Peers
from ...streams import cut_when_cancelled
from ..connection import HTTPConnection, ServedApp
from .protocol import HTTP2Protocol
from .stream import ServeWebSocket, WebSocketStream
from .tasks import Tasks

# How long clients have to answer our close frames when the server is cancelled.
_GOODBYE = 1.0


class HTTP2Connection(HTTPConnection):
    """hypercorn's connection, for HTTP/2 alone.

    When it is cancelled its applications are, while its reading and writing goes on for the close frames of
    WebSockets and for the answers, for a second at most.

    Args:
        served: the application.
        state: the lifespan's.
        stream: the client.
        data: what was read from it before.
        peers: who it is.
        limits: those of a request's fields, and of the time that its body may take.
        serve_websocket: serves a WebSocket to its end.
    """

    def __init__(
        self,
        served: ServedApp,
        state: ConnectionState,
        stream: Any,
        data: bytes,
        peers: Peers,
        limits: Limits,
        serve_websocket: ServeWebSocket,
    ) -> None:
        super().__init__(served, state, stream, peers)
        self._data = data
        self._limits = limits
        self._serve_websocket = serve_websocket
        # Shielded: the applications end first.
        self._wires = trio.CancelScope(shield=True)

    async def run(self) -> None:
        try:
            async with trio.open_nursery() as apps:
                self._tasks = Tasks(apps)
                self._http2 = HTTP2Protocol(
                    self, self._tasks, self._peers, self._limits, self._run_websocket, self._wires.cancel
                )
                protocol: Any = self._http2
                self.protocol = protocol
                apps.start_soon(self._carry)
                with trio.CancelScope() as self._waiting:
                    try:
                        await trio.sleep_forever()
                    finally:
                        self._wires.deadline = trio.current_time() + _GOODBYE
                        self._http2.stop()
        except OSError:
            pass
        await self._close()

    async def _carry(self) -> None:
        """Read and write for all streams, until the client or we have ended the connection."""
        try:
            with self._wires:
                async with cut_when_cancelled(self.stream), trio.open_nursery() as wires:
                    self._tasks.carry_in(wires)
                    self._task_group = self._tasks
                    await self._http2.initiate()
                    draining = self.context.terminated.is_set()
                    await self.idle_task.restart(self._tasks, self._await_request if draining else self._idle_timeout)
                    if self._data:
                        await self._http2.receive(self._data)
                    await self._read_data()
                    await self.idle_task.stop()
        finally:
            self._http2.end_websockets()
            self._waiting.cancel()

    async def _await_request(self) -> None:
        """While the server drains it is the first request that is waited for: whoever asks is to be told."""
        await trio.sleep(self.config.keep_alive_timeout)
        with trio.CancelScope(shield=True):
            await self._initiate_server_close()

    async def _initiate_server_close(self) -> None:
        await self._http2.say_goodbye()
        await super()._initiate_server_close()

    async def _run_websocket(self, stream: WebSocketStream, handshake: Handshake) -> None:
        """Serve a WebSocket, and forget its stream once it is closed."""
        try:
            await self._serve_websocket(stream, handshake, self._peers)
            await stream.closed.wait()  # its Connection has deadlines for what is still to leave, and for the client
        finally:
            with trio.move_on_after(_GOODBYE, shield=True):
                await stream.closed.wait()
