"""`WebSocketEndpoint`: a class per kind of connection, an instance per connection, three hooks to override."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

import trio

from .dependencies import HUB, Call, Resolver, Scope, plan_hook
from .encoding import make_decoder
from .errors import WebSocketDisconnect, WebSocketStateError
from .hooks import Hook, run_hooks, take_hooks
from .hub import Hub
from .messages import Message
from .session import Session
from .websocket import Receive, Send, WebSocket
from .websocket import Scope as ASGIScope

MessageHook = Callable[..., Awaitable[None]]
_NONE: Mapping[str, Any] = MappingProxyType({})


class WebSocketEndpoint:
    """Handles one connection; the class itself is an ASGI application.

    Override the hooks. One of them runs at a time, in the order of the messages, unless ``concurrency`` says otherwise.

    Attributes:
        encoding: what ``on_receive`` gets: ``"text"``, ``"bytes"``, ``"json"``, None for the message as it came, or a
            type that JSON is decoded to and validated by (attrs class, dataclass, Struct, union of tagged Structs).
            A message that does not fit closes the connection with 1003 or 1007.
        concurrency: how many ``on_receive`` of this connection may run at once. More than one gives up their order.
        disconnect_grace: seconds that a running hook has to finish when its client has left.
        disconnect_timeout: seconds that ``on_disconnect`` has.

    If a hook raises: its connection is closed with 1011 (HTTP 500 before accept), the error is logged,
    ``on_disconnect`` runs, and nobody else notices.
    """

    encoding: ClassVar[Any] = None
    concurrency: ClassVar[int] = 1
    disconnect_grace: ClassVar[float] = 1.0
    disconnect_timeout: ClassVar[float] = 5.0

    _decode: ClassVar[staticmethod[[Message], Any]] = staticmethod(make_decoder(None))
    _takes_hooks: ClassVar[bool] = True
    _plans: ClassVar[dict[str, Call]] = {}  # of the hooks that have parameters besides the usual ones

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _check_hooks(cls)
        cls._plans = _plan_hooks(cls)
        try:
            cls._decode = staticmethod(make_decoder(cls.encoding))
        except TypeError as error:
            raise TypeError(f"{cls.__name__}: {error}") from error
        if not isinstance(cls.concurrency, int) or cls.concurrency < 1:
            raise ValueError(f"{cls.__name__}.concurrency is an integer from 1, not {cls.concurrency!r}")
        for name in ("disconnect_grace", "disconnect_timeout"):
            seconds = getattr(cls, name)
            if not isinstance(seconds, (int, float)) or not seconds >= 0:
                raise ValueError(f"{cls.__name__}.{name} is a number of seconds, perhaps math.inf, not {seconds!r}")

    def __init__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.websocket: WebSocket = WebSocket(scope, receive, send)
        self._session = Session(self.websocket, type(self).__name__, self.disconnect_grace, self.disconnect_timeout)

    def __await__(self) -> Generator[Any, None, None]:
        return self.dispatch().__await__()

    # Not async: a coroutine of its own would be one more that is passed for each message.
    def dispatch(self) -> Coroutine[Any, Any, None]:
        """Run the connection from its handshake to its end."""
        hooks = take_hooks(self.scope)
        if self._plans or hooks:
            return self._session.run(partial(self._serve_with_dependencies, hooks))
        return self._session.run(self._serve, self._say_goodbye)

    @property
    def hub(self) -> Hub:
        """The app's hub."""
        hub = self.scope.get(HUB)
        if not isinstance(hub, Hub):
            raise WebSocketStateError(
                f"{type(self).__name__} has no hub: serve it through an App, which has one, as in "
                f"`App(routes=[WebSocketRoute('/', {type(self).__name__})])`"
            )
        return hub

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Start a task in the connection's own nursery: it is cancelled as soon as the connection ends.

        If it raises: the connection is closed with 1011. A `WebSocketDisconnect` is its normal end.
        """
        self._session.start_soon(function, *args)

    # The hooks

    async def on_connect(self, websocket: WebSocket) -> None:
        """Called once, first. Accepts the connection; override it to do more, or to refuse with ``close``."""
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        """Called for every message, with what ``encoding`` makes of it."""

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        """Called once, last, whatever happened; ``websocket.close_reason`` has the reason. Sending is over by now."""

    # What calls them

    async def _serve_with_dependencies(self, hooks: Sequence[Hook]) -> None:
        resolver = Resolver(self.websocket, type(self).__name__)
        async with resolver.running():
            if not await run_hooks(hooks, self.websocket, resolver):
                return
            connect, receive = self._plans.get("on_connect"), self._plans.get("on_receive")
            arguments = {} if connect is None else await resolver.fill(connect)
            hook = None if receive is None else await resolver.prepare(receive, self.on_receive)
            await self._session.run_within(partial(self._serve, arguments, hook), self._say_goodbye)

    async def _serve(self, arguments: Mapping[str, Any] = _NONE, hook: MessageHook | None = None) -> None:
        websocket, transport = self.websocket, self.websocket.transport
        await self.on_connect(websocket, **arguments)
        if not transport.accepted:
            return
        on_receive = self.on_receive if hook is None else hook
        if self.concurrency > 1:
            await self._receive_at_once(on_receive)
            return
        decode = self._decode
        while True:  # here, since a coroutine of its own would be one more that is passed for each message
            data = decode(await transport.receive())
            try:
                await on_receive(websocket, data)
            except* WebSocketDisconnect:
                # The hook could not answer any more. What else the client had sent is still for the hook to see.
                if transport.close_code is None:
                    raise
            del data  # a large one is not kept until the next comes

    async def _receive_at_once(self, on_receive: MessageHook) -> None:
        async with trio.open_nursery() as nursery:
            await self._session.contain(self._hand_out, on_receive, nursery)

    async def _hand_out(self, on_receive: MessageHook, nursery: trio.Nursery) -> None:
        transport = self.websocket.transport
        free = trio.Semaphore(self.concurrency)

        async def handle(data: Any) -> None:
            try:
                await self._session.contain(on_receive, self.websocket, data)
            finally:
                free.release()

        while True:
            await free.acquire()
            if transport.close_code is not None:
                # The client has said goodbye, and asking for more answers that: let the replies go out before.
                for _ in range(self.concurrency - 1):
                    await free.acquire()
                for _ in range(self.concurrency - 1):
                    free.release()
            nursery.start_soon(handle, self._decode(await transport.receive()))

    async def _say_goodbye(self, close_code: int) -> None:
        await self.on_disconnect(self.websocket, close_code)


_CALLED_WITH = {"on_connect": "websocket", "on_receive": "websocket, data", "on_disconnect": "websocket, close_code"}
_HOOKS = tuple(_CALLED_WITH)

# What the hooks are called in browsers and in other frameworks.
_ELSEWHERE = {"on_open": "on_connect", "on_message": "on_receive", "on_data": "on_receive", "on_close": "on_disconnect"}


def _check_hooks(cls: type[WebSocketEndpoint]) -> None:
    """Find, when the class is written, the mistakes that would only show when a client comes."""
    for name in _HOOKS:
        if not inspect.iscoroutinefunction(getattr(cls, name)):
            raise TypeError(f"{cls.__name__}.{name} must be async: write `async def {name}`")
    for name in vars(cls):
        if name.startswith("on_") and name not in _HOOKS:
            meant = [_ELSEWHERE[name]] if name in _ELSEWHERE else difflib.get_close_matches(name, _HOOKS, 1, 0.85)
            if meant:
                raise TypeError(f"{cls.__name__}.{name} is no hook; did you mean {meant[0]}?")
    if "__init__" in vars(cls):
        try:
            inspect.signature(cls.__init__).bind(None, None, None, None)
        except TypeError:
            raise TypeError(
                f"{cls.__name__}.__init__ does not take (scope, receive, send), with which an endpoint is made for "
                "each connection; set attributes in on_connect"
            ) from None


def _plan_hooks(cls: type[WebSocketEndpoint]) -> dict[str, Call]:
    """Plan where the parameters are from that the hooks have besides those that every hook gets."""
    plans = {}
    for name, usual in _CALLED_WITH.items():
        hook, as_written = getattr(cls, name), inspect.getattr_static(cls, name)
        given = usual.count(",") + (1 if isinstance(as_written, (staticmethod, classmethod)) else 2)
        where = f"{cls.__name__}.{name}"
        try:
            inspect.signature(hook).bind_partial(*[None] * given)
        except TypeError:
            raise TypeError(f"{where} is called with ({usual}): write `async def {name}(self, {usual})`") from None
        plan = plan_hook(hook, where, given, Scope.MESSAGE if name == "on_receive" else Scope.HANDSHAKE)
        if plan is None:
            continue
        if name == "on_disconnect":
            # Nobody could make them when the handshake has failed, and on_disconnect always runs.
            raise TypeError(
                f"{where} is called with ({usual}) and nothing else: keep what it needs in on_connect, as in "
                "`self.user = user`"
            )
        plans[name] = plan
    return plans
