"""`WebSocketEndpoint`: a class per kind of connection, an instance per connection, three hooks to override."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import Any, ClassVar

import trio

from .encoding import Message, make_decoder
from .errors import WebSocketDisconnect, WebSocketStateError
from .hub import Hub
from .session import Session
from .websocket import Receive, Scope, Send, WebSocket

HUB = "wsframework.hub"  # where an App leaves its hub in the scope


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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _check_hooks(cls)
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

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.websocket: WebSocket = WebSocket(scope, receive, send)
        self._session = Session(self.websocket, type(self).__name__, self.disconnect_grace, self.disconnect_timeout)

    def __await__(self) -> Generator[Any, None, None]:
        return self.dispatch().__await__()

    async def dispatch(self) -> None:
        """Run the connection from its handshake to its end."""
        await self._session.run(self._serve, self._say_goodbye)

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

    async def _serve(self) -> None:
        await self.on_connect(self.websocket)
        if not self.websocket.transport.accepted:
            return
        if self.concurrency == 1:
            await self._receive_in_order()
        else:
            await self._receive_at_once()

    async def _receive_in_order(self) -> None:
        websocket, transport = self.websocket, self.websocket.transport
        decode, on_receive = self._decode, self.on_receive
        while True:
            data = decode(await transport.receive())
            try:
                await on_receive(websocket, data)
            except* WebSocketDisconnect:
                # The hook could not answer any more. What else the client had sent is still for the hook to see.
                if transport.close_code is None:
                    raise

    async def _receive_at_once(self) -> None:
        async with trio.open_nursery() as nursery:
            await self._session.contain(self._hand_out, nursery)

    async def _hand_out(self, nursery: trio.Nursery) -> None:
        transport = self.websocket.transport
        free = trio.Semaphore(self.concurrency)

        async def handle(data: Any) -> None:
            try:
                await self._session.contain(self.on_receive, self.websocket, data)
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


_HOOKS = ("on_connect", "on_receive", "on_disconnect")


def _check_hooks(cls: type[WebSocketEndpoint]) -> None:
    """Find, when the class is written, the mistakes that would only show when a client comes."""
    for name in _HOOKS:
        if not inspect.iscoroutinefunction(getattr(cls, name)):
            raise TypeError(f"{cls.__name__}.{name} must be async: write `async def {name}`")
    for name in vars(cls):
        if name.startswith("on_") and name not in _HOOKS:
            meant = difflib.get_close_matches(name, _HOOKS, n=1, cutoff=0.85)
            if meant:
                raise TypeError(f"{cls.__name__}.{name} is no hook; did you mean {meant[0]}?")
