"""What a dependency costs per message when it is not used per message: nothing, or the call of a prebuilt partial."""

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType, MappingProxyType
from typing import Annotated, Any

from trio.testing import MockClock

from wsframework import App, Depends, WebSocket, WebSocketEndpoint
from wsframework.testing import connect


async def get_user(name: str) -> str:
    return name


class Plain(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_text(data)


class OnConnect(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket, user: Annotated[str, Depends(get_user)], page: int = 1) -> None:
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_text(data)


class OnReceive(WebSocketEndpoint):
    async def on_receive(
        self, websocket: WebSocket, data: str, user: Annotated[str, Depends(get_user)], page: int = 1
    ) -> None:
        await websocket.send_text(data)


async def instructions(endpoint: Any) -> tuple[int, set[str]]:
    """Bytecode instructions that the package and the endpoint run for one echoed message, and the names of the code."""
    app = App()
    app.websocket("/")(endpoint)
    count = 0
    names: set[str] = set()

    def trace(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any] | None:
        nonlocal count
        module = frame.f_globals.get("__name__", "")
        if not module.startswith("wsframework.") and module != __name__:
            return None
        if module.startswith("wsframework.testing"):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            names.add(frame.f_code.co_qualname)
        return trace

    async with connect(app, "/?name=ada") as client:
        for _ in range(3):  # what is done once only is done
            await client.send("x")
            await client.receive()
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            await client.send("x")
            await client.receive()
        finally:
            sys.settrace(before)
    return count, {name for name in names if not name.endswith("on_receive")}


async def test_instructions(autojump_clock: MockClock) -> None:
    """An echo with dependencies runs the same code as one without, and no more than 3 % more instructions."""
    plain, code = await instructions(Plain)
    assert plain > 100
    for endpoint in (OnConnect, OnReceive):
        count, same_code = await instructions(endpoint)
        # The task's way from Trio to its hook is two coroutines longer: 1 % of the instructions.
        assert same_code - code <= {"WebSocketEndpoint._serve_with_dependencies", "Session.run_within"}
        assert code <= same_code
        assert count <= plain * 1.03


async def test_what_is_called(autojump_clock: MockClock) -> None:
    """Without parameters of its own on_receive is called as it is; with some, a partial that was made once calls it."""
    hooks: list[Any] = []

    def watched(cls: type[WebSocketEndpoint]) -> type[WebSocketEndpoint]:
        class Watched(cls):  # type: ignore[misc, valid-type]
            async def _serve(self, arguments: Any = MappingProxyType({}), hook: Any = None) -> None:
                hooks.append(hook)
                await super()._serve(arguments, hook)

        return Watched

    for cls in (Plain, OnConnect, OnReceive):
        app = App()
        app.websocket("/")(watched(cls))
        async with connect(app, "/?name=ada"):
            pass
    assert hooks[:2] == [None, None]  # on_receive itself
    [third] = hooks[2:]
    assert isinstance(third, partial)
    assert third.func.__qualname__ == OnReceive.on_receive.__qualname__
    assert third.keywords == {"user": "ada", "page": 1}
