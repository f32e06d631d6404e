"""The life of one connection: its nursery, its children, its grace, its end.

What holds, for class and function endpoints alike:

* Everything that the endpoint starts runs in the connection's own nursery, and ends with the connection.
* When the connection ends, children are cancelled at once. The hook that runs gets a grace and is then cancelled; so
  does each hook that runs after it, for what the client had sent before it left is still delivered, in order. Only a
  hook that itself closed the connection takes the time it needs. That is said of the endpoint's own task: one that
  closes it from a task beside, such as an ``on_receive`` with ``concurrency``, gets the grace like all others.
* At the end, in this order: subscriptions end, the connection is closed if it is not, ``farewell`` runs. It runs
  exactly once, also after an error and also when we are cancelled, shielded, and for a bounded time.
* An error ends this connection and goes no further: see `wsframework.settling`.

How the grace works without a task or a lock: the transport calls us synchronously when the end begins, and all we do
then is to cancel some scopes and to set the deadline of another.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from starlette.exceptions import HTTPException, WebSocketException

from .asgi import ASGITransport
from .close import CloseCode
from .errors import ClientError, WebSocketDisconnect, WebSocketStateError
from .groups import first, unwrap
from .origin import CHECKED, SAME_ORIGIN
from .refusal import refuse_origin
from .settling import Settling, logger
from .websocket import WebSocket


class Session(Settling):
    """Runs the endpoint of one connection.

    Args:
        websocket: the connection.
        name: what the endpoint is called in log lines.
        grace: seconds that a hook has to finish after the client has left.
        farewell_timeout: seconds that ``farewell`` has, and so has what an error is answered with.
    """

    __slots__ = (
        "_children",
        "_ended",
        "_grace",
        "_hooks",
        "_nursery",
        "_task",
    )

    def __init__(self, websocket: WebSocket, name: str, grace: float = 1.0, farewell_timeout: float = 5.0) -> None:
        super().__init__(websocket, name, farewell_timeout)
        self._grace = grace
        websocket.starter = self
        self._hooks: trio.CancelScope | None = None  # the nursery's
        self._children: set[trio.CancelScope] | None = None  # made for the first: 216 bytes that most do not need
        self._nursery: trio.Nursery | None = None
        self._task: trio.lowlevel.Task | None = None
        self._ended = False

    async def run(
        self, main: Callable[[], Awaitable[None]], farewell: Callable[[int], Awaitable[None]] | None = None
    ) -> None:
        """Run ``main`` until it returns, the client leaves or we are cancelled; then say ``farewell(close_code)``.

        Not everybody has one: a function has its own ``finally``, and where there are dependencies, it is said while
        they are still there, in `run_within`, and not if they could not be made.
        """
        scope = self.websocket.scope
        if CHECKED not in scope and not SAME_ORIGIN.allows(scope):  # we are in no App, and nobody else has looked
            await refuse_origin(self.websocket)
            return
        try:
            async with trio.open_nursery() as nursery:
                self._nursery, self._hooks = nursery, nursery.cancel_scope
                self._task = trio.lowlevel.current_task()
                self._transport.start(nursery)
                self._transport.on_end = self._end
                if self._transport.close_code is not None:
                    self._end(False)
                try:  # not in `contain`: every coroutine here is one more to pass for each message
                    await main()
                except* WebSocketDisconnect:
                    self._check_own_end()
                except* (ClientError, WebSocketException, HTTPException) as group:
                    await self._settle(first(group))
                except* Exception as group:
                    await self._settle(unwrap(group))
                self._check_answered()
                self._close(CloseCode.NORMAL_CLOSURE)
                nursery.cancel_scope.cancel()
        finally:
            self._nursery = None
            self._close(CloseCode.GOING_AWAY)  # we were cancelled, if nothing else has closed it
            if farewell is not None:
                await self._say(farewell)  # noqa: ASYNC102 - shielded and bounded inside
            self._report()
            if isinstance(self._transport, ASGITransport):
                await self._transport.finish()  # noqa: ASYNC102 - shielded and bounded inside

    async def run_within(
        self, main: Callable[[], Awaitable[None]], farewell: Callable[[int], Awaitable[None]] | None = None
    ) -> None:
        """Inside the ``main`` of `run`: run another one, in what must live longer than children and the farewell.

        What it raises is raised here, for what lies around us to see. Where there is a farewell, the connection is
        closed before by that error. Where there is none, the close waits for what becomes of the error.
        """
        failure: BaseException | None = None
        try:
            async with trio.open_nursery() as self._nursery:  # children start in this one from now on
                try:
                    try:  # not in `contain` here either
                        await main()
                    except* WebSocketDisconnect:
                        self._check_own_end()
                    self._check_answered()
                    self._close(CloseCode.NORMAL_CLOSURE)
                except BaseException as error:  # noqa: ASYNC103 - raised below, in no group of this nursery
                    failure = error
                    if farewell is not None and not isinstance(error, trio.Cancelled):
                        await self.contain(_raise, error)  # noqa: ASYNC102 - what it waits for is bounded
                self._nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            # Waiting for the children was cancelled as well. Of two cancellations one is enough.
            if not isinstance(failure, trio.Cancelled) or group.split(trio.Cancelled)[1] is not None:
                raise
        finally:
            self._nursery = None
            if farewell is not None:
                self._close(CloseCode.GOING_AWAY)
                await self._say(farewell)  # noqa: ASYNC102 - shielded and bounded inside
        if failure is not None:
            raise failure

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Start a child task that is cancelled when the connection ends."""
        if inspect.iscoroutine(function):
            function.close()
            name = function.__name__
            raise TypeError(
                f"start_soon takes a function and its arguments: start_soon({name}, ...), not start_soon({name}(...))"
            )
        if self._nursery is None:
            if self._transport.close_code is None:
                raise WebSocketStateError("this connection has not begun: start its tasks in on_connect or later")
            raise trio.ClosedResourceError("this connection is over, so it cannot start a task any more")
        scope = trio.CancelScope()
        if self._children is None:
            self._children = set()
        self._children.add(scope)
        if self._ended:
            scope.cancel()
        self._nursery.start_soon(self.contain, self._run_child, scope, function, args, name=function)

    async def _run_child(
        self, scope: trio.CancelScope, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]
    ) -> None:
        try:
            with scope:
                await function(*args)
        finally:
            if self._children is not None:
                self._children.discard(scope)

    async def contain(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Run something of the endpoint's. What it raises ends this connection and nothing else."""
        # except*, because a nursery in a hook wraps even the most ordinary disconnect into a group, and because
        # what fails while it is being cancelled comes in one group with the Cancelled, which must go on.
        try:
            await function(*args)
        except* WebSocketDisconnect:
            pass
        except* (ClientError, WebSocketException, HTTPException) as group:
            await self._settle(first(group))
        except* Exception as group:
            await self._settle(unwrap(group))

    def _check_own_end(self) -> None:
        if self._transport.close_code is None:
            logger.warning(
                "%s: ended by a WebSocketDisconnect although its own client is still there. If that came from "
                "sending to another client, catch it where you send, or publish through the hub",
                self._where(),
            )

    def _give_up(self) -> None:
        self._close(CloseCode.INTERNAL_ERROR)
        if self._hooks is not None:
            self._hooks.cancel()

    def _check_answered(self) -> None:
        if not self._transport.accepted and self._transport.close_code is None:
            self._fail(
                WebSocketStateError(
                    f"{self.name} returned without an answer to the handshake: "
                    "call `await websocket.accept()` or `await websocket.close()`"
                )
            )

    # The end

    def _end(self, by_us: bool) -> None:
        """The transport's call: the end has begun. Nothing here waits."""
        self._ended = True
        for scope in self._children or ():
            scope.cancel()
        # A hook that closes the connection itself may finish what it is doing. Whatever else runs then gets the grace.
        if not by_us or trio.lowlevel.current_task() is not self._task:
            self._renew()
            self._transport.on_late_message = self._renew

    def _renew(self) -> None:
        if self._hooks is not None:
            self._hooks.deadline = trio.current_time() + self._grace

    def _close(self, code: int) -> None:
        """End the subscriptions, then the connection, with this code unless it has ended already."""
        mailbox = self._transport.mailbox
        if mailbox is not None:
            mailbox.empty()
            mailbox.leave()
        self._transport.cut_off(code)

    async def _say(self, farewell: Callable[[int], Awaitable[None]]) -> None:
        code = self._transport.close_code
        assert code is not None
        with trio.move_on_after(self._timeout, shield=True) as scope:
            await self.contain(self._run_farewell, farewell, code)
        if scope.cancelled_caught:
            logger.warning(
                "%s: on_disconnect was cancelled after %g s, it must be quicker", self._where(), self._timeout
            )

    async def _run_farewell(self, farewell: Callable[[int], Awaitable[None]], code: int) -> None:
        try:
            await farewell(code)
        except* WebSocketDisconnect:
            logger.warning(
                "%s: on_disconnect stopped where it sent or received, because its connection has ended; what stands "
                "behind that did not run. To tell others, publish through the hub",
                self._where(),
            )


async def _raise(error: BaseException) -> None:
    raise error
