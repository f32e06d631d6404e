"""A connection that speaks HTTP/1.1: hypercorn's, which gets one request at a time.

This module knows hypercorn's inner classes: `TCPServer`, `H11Protocol` and `TaskGroup`.
"""

from __future__ import annotations

from typing import Any

import h11
import trio
from hypercorn.events import Event, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.typing import ConnectionState

from ..access import SERVER_ANSWER, ServerAnswer, log_refusal
from .connection import HTTPConnection
from .requests import RequestStream

# Seconds to close a connection in style; only where there is no epoll does that wait for anything.
_CLOSING = 1.0


class HTTP1Connection(HTTPConnection):
    """hypercorn's connection, for HTTP/1.1 alone. Its stream gives it one request at a time."""

    stream: RequestStream

    async def run(self) -> None:
        try:
            async with (tasks := _Tasks(self.stream)):
                self._task_group = tasks
                protocol: Any = HTTP1Protocol(
                    self.app,
                    self.config,
                    self.context,
                    tasks,
                    ConnectionState(dict(self.state)),
                    self._peers.secure,
                    self._peers.client,
                    self._peers.server,
                    self.protocol_send,
                )
                self.protocol = protocol
                # It is not idle: a request is here. hypercorn would close it at once while the server drains, and
                # whoever asks then whether it is ready is to be told that it is not.
                await self._read_data()
                self._log_refusal(tasks)
                await self.idle_task.stop()  # or the socket would stay open for as long as an idle one
        except OSError:
            pass
        await self._close()

    def _log_refusal(self, tasks: _Tasks) -> None:
        """A body that was refused with the head of its request, in one read, has reached no application."""
        answer = self.stream.own_answer
        if answer.error is not None and answer is not tasks.answer:
            log_refusal(self._peers.client, answer.error)

    async def _close(self) -> None:
        # Shielded, and bounded: the task that comes here may be the application's, whose response Starlette cancels as
        # soon as it hears that the stream is closed. Half closed, the connection would stay as it is.
        with trio.move_on_after(_CLOSING, shield=True):
            await super()._close()

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated) and event.idle:
            self.stream.answered()
        await super().protocol_send(event)


class _Tasks(TaskGroup):
    """hypercorn's task group, in which the access log hears of what is answered before hypercorn.

    Args:
        requests: where that is.

    Attributes:
        answer: that of the newest request that has reached an application.
    """

    def __init__(self, requests: RequestStream) -> None:
        super().__init__()
        self._requests = requests
        self.answer: ServerAnswer | None = None

    async def spawn_app(self, app: Any, config: Any, scope: Any, send: Any) -> Any:
        self.answer = scope[SERVER_ANSWER] = self._requests.own_answer
        return await super().spawn_app(app, config, scope, send)


class HTTP1Protocol(H11Protocol):
    """hypercorn's HTTP/1.1, which never turns into something else."""

    async def _check_protocol(self, event: h11.Request) -> None:
        # hypercorn answers "Upgrade: h2c" with 101. A proxy that does not know the word passes it on, and what is
        # then said behind its back is how it is tricked; RFC 9113 has dropped this upgrade.
        return
