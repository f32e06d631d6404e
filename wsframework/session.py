"""The life of one connection: its nursery, its children, its grace, its end.

What holds, for class and function endpoints alike:

* Everything that the endpoint starts runs in the connection's own nursery, and ends with the connection.
* When the connection ends, children are cancelled at once. The hook that runs gets a grace and is then cancelled; so
  does each hook that runs after it, for what the client had sent before it left is still delivered, in order. Only a
  hook that itself closed the connection takes the time it needs. That is said of the endpoint's own task: one that
  closes it from a task beside, such as an ``on_receive`` with ``concurrency``, gets the grace like all others.
* At the end, in this order: subscriptions end, the connection is closed if it is not, ``farewell`` runs. It runs
  exactly once, also after an error and also when we are cancelled, shielded, and for a bounded time.
* An error of the program closes this connection with 1011 (before accept: HTTP 500), is logged once, and goes no
  further. A client's error closes it with the code that fits and is no error of ours. ``WebSocketException`` closes
  with its code, and ``HTTPException`` answers the handshake. A handler of the application's may do otherwise.

How the grace works without a task or a lock: the transport calls us synchronously when the end begins, and all we do
then is to cancel some scopes and to set the deadline of another.
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from starlette.exceptions import HTTPException, WebSocketException
from starlette.responses import PlainTextResponse, Response

from .access_log import ACCESS_REASON
from .asgi import ASGITransport
from .close import MAX_REASON_BYTES, REFUSED, CloseCode, check_close, describe
from .errors import REPORT_ERRORS_TO, ClientError, WebSocketDisconnect, WebSocketStateError
from .groups import alone, first, unwrap
from .handlers import EXPECTED, debugging, find_handler
from .origin import CHECKED, SAME_ORIGIN
from .refusal import refuse_origin
from .websocket import WebSocket

logger: logging.Logger = logging.getLogger("wsframework.endpoint")

# What asyncio says where it does not run: the likeliest mistake of somebody who comes from there. The last one is that
# of what waits for a future, such as a Queue.
_ASYNCIO = ("no running event loop", "There is no current event loop", "no attribute 'create_future'")


class Session:
    """Runs the endpoint of one connection.

    Args:
        websocket: the connection.
        name: what the endpoint is called in log lines.
        grace: seconds that a hook has to finish after the client has left.
        farewell_timeout: seconds that ``farewell`` has.
    """

    __slots__ = (
        "_children",
        "_ended",
        "_failures",
        "_farewell_timeout",
        "_grace",
        "_handled",
        "_hooks",
        "_nursery",
        "_task",
        "_transport",
        "name",
        "websocket",
    )

    def __init__(self, websocket: WebSocket, name: str, grace: float = 1.0, farewell_timeout: float = 5.0) -> None:
        self.websocket: WebSocket = websocket
        self.name: str = name
        self._grace = grace
        self._farewell_timeout = farewell_timeout
        self._transport = websocket.transport
        websocket.starter = self
        self._hooks: trio.CancelScope | None = None  # the nursery's
        self._children: set[trio.CancelScope] | None = None  # made for the first: 216 bytes that most do not need
        self._nursery: trio.Nursery | None = None
        self._task: trio.lowlevel.Task | None = None
        self._ended = False
        self._failures: list[Exception] | None = None
        self._handled: list[Exception] | None = None  # by a handler of the application's

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

    async def _settle(self, error: Exception) -> None:
        """Do about an error what the application says, or else what is usual."""
        whole, error = error, alone(error)
        if self._handled is not None and any(error is known for known in self._handled):
            return  # it has passed here before, on its way out of the dependencies
        handler = find_handler(self.websocket.scope, error)
        if handler is None:
            await self._do_the_usual(whole)
            return
        self._handled = [*(self._handled or ()), error]
        if handler.unexpected:
            self._failures = [*(self._failures or ()), error]
        try:
            # Cancelled or not, it gets to run, but not to hang.
            with trio.move_on_after(self._farewell_timeout, shield=True) as scope:
                await self._answer_with(await handler.call(self.websocket, error), error)
            if scope.cancelled_caught:
                logger.warning(
                    "%s: the handler for %s was cancelled after %g s, it must be quicker",
                    self._where(),
                    type(error).__name__,
                    self._farewell_timeout,
                )
        except WebSocketDisconnect:
            pass
        except Exception as failure:
            await self._do_the_usual(failure)
        if isinstance(error, EXPECTED):
            await self._do_the_usual(error)  # which does nothing when the handler has closed or refused
        else:
            self._give_up()

    async def _answer_with(self, response: Any, error: Exception) -> None:
        """Send the response that a handler has returned, which can be done before accept only."""
        if response is None:
            return
        if self._transport.accepted or self._transport.close_code is not None:
            self._fail(error)  # nobody has told the client what the handler had to say
        elif "websocket.http.response" in (self.websocket.scope.get("extensions") or {}):
            await self.websocket.send_denial_response(response)
        else:
            self._transport.cut_off(CloseCode.POLICY_VIOLATION, REFUSED)

    async def _do_the_usual(self, error: Exception) -> None:
        match error:
            case ClientError() | WebSocketException():
                await self._turn_away(error.code, error.reason)
            case HTTPException():
                await self._answer(error)
            case _:
                if debugging(self.websocket.scope):
                    await self._show(error)
                self._fail(error)

    async def _show(self, error: Exception) -> None:
        """Tell the client what went wrong, as far as it can be told."""
        if self._transport.close_code is not None:
            return
        if self._transport.accepted:
            told = "".join(traceback.format_exception_only(error)).strip().encode()
            self._transport.cut_off(CloseCode.INTERNAL_ERROR, told[:MAX_REASON_BYTES].decode(errors="ignore"))
        else:
            await self._refuse(PlainTextResponse("".join(traceback.format_exception(error)), 500))

    def _check_own_end(self) -> None:
        if self._transport.close_code is None:
            logger.warning(
                "%s: ended by a WebSocketDisconnect although its own client is still there. If that came from "
                "sending to another client, catch it where you send, or publish through the hub",
                self._where(),
            )

    async def _turn_away(self, code: int, reason: str) -> None:
        """Close with what an exception says; before accept, refuse with 403 and the reason as the body."""
        if reason and not self._transport.accepted and self._transport.close_code is None:
            await self._refuse(PlainTextResponse(f"{reason}\n", 403))
        try:
            check_close(code, reason)
        except (TypeError, ValueError) as error:  # Starlette's exceptions take anything
            self._fail(error)
        else:
            self._transport.cut_off(code, reason)

    async def _answer(self, error: HTTPException) -> None:
        """Answer the handshake with what the exception says. Later there is no response that could carry it."""
        if self._handled is not None and self._transport.close_code is not None:
            return
        if self._transport.accepted or self._transport.close_code is not None:
            self._fail(error)
            return
        if error.status_code in (204, 304):
            response = Response(status_code=error.status_code, headers=error.headers)
        else:
            response = PlainTextResponse(error.detail, error.status_code, error.headers)
        self.websocket.scope[ACCESS_REASON] = error.detail
        await self._refuse(response)
        self._transport.cut_off(CloseCode.POLICY_VIOLATION, REFUSED)

    async def _refuse(self, response: Response) -> None:
        """Send a response, if this server can; the caller closes behind it."""
        if "websocket.http.response" not in (self.websocket.scope.get("extensions") or {}):
            return
        try:
            with trio.move_on_after(self._farewell_timeout, shield=True):
                await self._transport.start_response(response.status_code, response.raw_headers)
                await self._transport.send_body(bytes(response.body), True)
        except WebSocketDisconnect:
            pass
        except Exception as error:  # a header that must not travel, or another response that has begun
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, (RuntimeError, AttributeError)) and any(words in str(error) for words in _ASYNCIO):
            error.add_note(
                "This runs on Trio, and asyncio does not work here: use trio.sleep for asyncio.sleep, and "
                "websocket.start_soon for asyncio.create_task"
            )
        if any(error is known for known in self._failures or ()):
            return  # it has passed here before, on its way out of the dependencies
        self._failures = [*(self._failures or ()), error]
        self._give_up()

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
        with trio.move_on_after(self._farewell_timeout, shield=True) as scope:
            await self.contain(self._run_farewell, farewell, code)
        if scope.cancelled_caught:
            logger.warning(
                "%s: on_disconnect was cancelled after %g s, it must be quicker", self._where(), self._farewell_timeout
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

    def _report(self) -> None:
        for error in self._failures or ():
            logger.error("%s failed; %s", self._where(), self._how_it_ended(), exc_info=error)
            report = self.websocket.scope.get(REPORT_ERRORS_TO)
            if report is not None:
                report(error)

    def _where(self) -> str:
        client = self.websocket.client
        who = f"{client.host}:{client.port}" if client is not None else "a client"
        return f"{self.name} at {self.websocket.scope.get('path', '')!a} for {who}"

    def _how_it_ended(self) -> str:
        code = self._transport.close_code
        if not self._transport.accepted:
            return "its handshake was refused"
        return "its connection is open" if code is None else f"its connection ended with {describe(code)}"


async def _raise(error: BaseException) -> None:
    raise error
