"""The tasks of an HTTP/2 connection: applications, which are cancelled first, and what reads and writes for them.

This module knows hypercorn's inner class `TaskGroup`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from hypercorn.trio.task_group import TaskGroup

from ...access import SERVER_ANSWER, ServerAnswer
from .body import RequestBody


class Tasks(TaskGroup):
    """hypercorn's task group, with applications in one nursery and everything else in another."""

    def __init__(self, apps: trio.Nursery) -> None:
        super().__init__()
        self._apps = apps
        # Of the application that is started next; hypercorn does not pass them on.
        self.next_body: RequestBody
        self.next_answer: ServerAnswer

    def carry_in(self, wires: trio.Nursery) -> None:
        self._nursery = wires

    def spawn_in_apps(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        self._apps.start_soon(function, *args)

    async def spawn_app(self, app: Any, config: Any, scope: Any, send: Any) -> Any:
        body = self.next_body
        scope[SERVER_ANSWER] = self.next_answer

        async def with_body(scope: Any, receive: Any, send: Any, sync_spawn: Any, call_soon: Any) -> None:
            await app(scope, body.receive, send, sync_spawn, call_soon)

        apps = TaskGroup()
        apps._nursery = self._apps
        await apps.spawn_app(with_body, config, scope, send)
        return body.put
