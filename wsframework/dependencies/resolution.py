"""The dependencies of one connection: their values, and the ends of those that yield."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import attrs
import trio
from trio.lowlevel import RunVar, current_task

from ..errors import WebSocketStateError
from ..websocket import WebSocket
from .markers import Scope
from .plan import Call, Kind, Need, plan_dependency
from .provided import overrides

logger: logging.Logger = logging.getLogger("wsframework.endpoint")

T = TypeVar("T")

CLEAN_UP_TIMEOUT = 5.0
"""Seconds that the dependencies of one scope have, together, for what stands behind their ``yield``."""

THREADS = 40
"""Plain functions that run at once, as many as Trio, anyio and FastAPI allow. Others wait for their turn."""

_threads: RunVar[trio.CapacityLimiter] = RunVar("wsframework.dependencies threads")


class Resolver:
    """Fills the arguments of one connection's endpoint.

    Args:
        websocket: the connection.
        name: what the endpoint is called in log lines.

    Use it as ``async with resolver.running()``; when that block ends, connection-scoped dependencies do, the last one
    first, shielded and for a bounded time. What the block raises is thrown into them.
    """

    def __init__(self, websocket: WebSocket, name: str) -> None:
        self._websocket = websocket
        self._name = name
        self._values: dict[Hashable, Any] = {}
        self._overrides = overrides(websocket)
        self._stands_in: dict[Need, Need] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have dependencies in this block."""
        async with _closing(self._name) as (self._connection, self._handshake):
            self._task = current_task()
            self._websocket.on_accept = self._end_handshake
            try:
                yield
            finally:
                self._websocket.on_accept = None

    async def fill(self, call: Call) -> dict[str, Any]:
        """Return the arguments of a function endpoint or of ``on_connect``, in the order in which they are written.

        Raises:
            InvalidParameter: the client sent a value that does not fit.
            Exception: whatever a dependency raises.
        """
        arguments = await self._fill(call)
        if self._websocket.transport.accepted:  # before we came: nobody will tell us of the handshake's end
            await self._end_handshake()
        return arguments

    async def call(self, plan: Call, *given: Any) -> Any:
        """Call a planned function, such as a hook before the endpoint, with what it is given and what it asks for."""
        return await plan.function(*given, **await self.fill(plan))

    async def prepare(self, call: Call, hook: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return ``on_receive`` with all arguments in it that do not change from message to message.

        Without message-scoped dependencies that is a ``functools.partial`` of the hook, so that they cost nothing more.
        """
        fixed, fresh = await self._fix(call)
        return partial(hook, **fixed) if not fresh else partial(self._call_with_message, hook, fixed, fresh)

    # Handshake and connection

    async def _fill(self, call: Call) -> dict[str, Any]:
        arguments = {}
        for name in call.order:
            need = call.needs.get(name)
            arguments[name] = call.getters[name](self._websocket) if need is None else await self._resolve(need)
        return arguments

    async def _resolve(self, need: Need) -> Any:
        if need.key in self._values:
            return self._values[need.key]
        actual = self._stand_in(need)
        arguments = await self._fill(actual.call)
        if need.scope is Scope.HANDSHAKE:
            value = await self._enter_handshake(actual.call, arguments)
        else:
            value = await _enter(actual.call, arguments, self._connection)
        self._values[need.key] = value
        return value

    async def _enter_handshake(self, call: Call, arguments: dict[str, Any]) -> Any:
        nurseries = len(current_task().child_nurseries)
        value = await _enter(call, arguments, self._handshake)
        if len(current_task().child_nurseries) != nurseries:
            # It would have to close in the middle of what the endpoint has opened since, which Trio does not allow.
            raise WebSocketStateError(
                f"{call.name} yields inside a nursery, so it cannot end with the handshake: leave out "
                'scope="handshake", or leave the nursery before the yield'
            )
        return value

    async def _end_handshake(self) -> None:
        """The handshake was answered: called by ``accept``. In another task, what yields ends with the connection."""
        if current_task() is self._task:
            ending = self._handshake.pop_all()
            with trio.move_on_after(CLEAN_UP_TIMEOUT, shield=True) as scope:
                await ending.aclose()
            if scope.cancelled_caught:
                _warn(self._name)

    def _stand_in(self, need: Need) -> Need:
        other = self._overrides.get(need.call.identity) if self._overrides else None
        if other is None:
            return need
        if need not in self._stands_in:
            self._stands_in[need] = plan_dependency(other, need)
        return self._stands_in[need]

    # Messages

    async def _fix(self, call: Call) -> tuple[dict[str, Any], dict[str, _Fresh]]:
        fixed: dict[str, Any] = {}
        fresh: dict[str, _Fresh] = {}
        for name in call.order:
            need = call.needs.get(name)
            if need is None:
                fixed[name] = call.getters[name](self._websocket)
            elif need.scope is not Scope.MESSAGE:
                fixed[name] = await self._resolve(need)
            else:
                actual = self._stand_in(need)
                fresh[name] = _Fresh(need.key, actual.call, *await self._fix(actual.call))
        return fixed, fresh

    async def _call_with_message(
        self,
        hook: Callable[..., Awaitable[None]],
        fixed: dict[str, Any],
        fresh: dict[str, _Fresh],
        websocket: WebSocket,
        data: Any,
    ) -> None:
        async with _closing(self._name) as (stack, _):
            values: dict[Hashable, Any] = {}
            made = {name: await _make(each, stack, values) for name, each in fresh.items()}
            await hook(websocket, data, **fixed, **made)


@attrs.frozen(eq=False)
class _Fresh:
    """A message-scoped dependency, with everything in it that does not change from message to message."""

    key: Hashable
    call: Call
    fixed: dict[str, Any]
    fresh: dict[str, _Fresh]


async def _make(what: _Fresh, stack: AsyncExitStack, values: dict[Hashable, Any]) -> Any:
    if what.key not in values:
        made = {name: await _make(each, stack, values) for name, each in what.fresh.items()}
        values[what.key] = await _enter(what.call, what.fixed | made, stack)
    return values[what.key]


async def _enter(call: Call, arguments: dict[str, Any], stack: AsyncExitStack) -> Any:
    """Call a dependency. What it leaves to be done is left to the stack."""
    match call.kind:
        case Kind.ASYNC:
            return await call.function(**arguments)
        case Kind.AT_ONCE:
            return call.function(**arguments)
        case Kind.FUNCTION:
            return await _in_thread(partial(call.function, **arguments))
        case Kind.GENERATOR_AT_ONCE:
            return stack.enter_context(contextmanager(call.function)(**arguments))
        case Kind.ASYNC_GENERATOR:
            manager: AbstractAsyncContextManager[Any] = asynccontextmanager(call.function)(**arguments)
        case Kind.GENERATOR:
            manager = _InThread(contextmanager(call.function)(**arguments))
    return await stack.enter_async_context(manager)


class _InThread(AbstractAsyncContextManager[Any]):
    """A plain context manager that is entered and left in worker threads."""

    def __init__(self, manager: AbstractContextManager[Any]) -> None:
        self._manager = manager

    async def __aenter__(self) -> Any:
        return await _in_thread(self._manager.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        leave = partial(self._manager.__exit__, kind, error, traceback)
        # A thread can be kept from starting, but not be stopped: nobody else would do what it does. And it is not in
        # line behind calls that begin, for those may be waiting for what this one gives back.
        with trio.CancelScope(shield=True):
            handled = await trio.to_thread.run_sync(leave, limiter=trio.CapacityLimiter(1))  # noqa: ASYNC102
        return handled


async def _in_thread(function: Callable[[], T]) -> T:
    """Run it in a worker thread, of which there are `THREADS`. Cancellation waits until it returns."""
    try:
        limiter = _threads.get()
    except LookupError:
        limiter = trio.CapacityLimiter(THREADS)
        _threads.set(limiter)
    return await trio.to_thread.run_sync(function, limiter=limiter)


@asynccontextmanager
async def _closing(name: str) -> AsyncIterator[tuple[AsyncExitStack, AsyncExitStack]]:
    """Two stacks of what is to be closed after the block, shielded and within `CLEAN_UP_TIMEOUT`; the second first.

    The scope that shields lies around the block and is switched on behind it, since what yields may have scopes and
    nurseries of its own, and Trio wants them to be left before those that were entered earlier.
    """
    failure: BaseException | None = None
    with trio.CancelScope() as keep:
        async with AsyncExitStack() as later, AsyncExitStack() as sooner:
            try:
                yield later, sooner
            except BaseException as error:
                failure = error
                raise
            finally:
                keep.deadline = trio.current_time() + CLEAN_UP_TIMEOUT
                keep.shield = True
    if keep.cancelled_caught:
        _warn(name)
        if failure is not None:
            raise failure


def _warn(name: str) -> None:
    logger.warning(
        "%s: what stands behind the yield of a dependency was cancelled after %g s, it must be quicker",
        name,
        CLEAN_UP_TIMEOUT,
    )
