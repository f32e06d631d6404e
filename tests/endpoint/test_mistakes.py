"""Mistakes in an endpoint that show when it is written, or in a line that says what to do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket
from trio.testing import MockClock

from wsframework import App, WebSocket, WebSocketEndpoint
from wsframework.testing import connect


def test_a_hook_that_is_not_async() -> None:
    """It would fail at the first client; it fails where it is written."""
    with pytest.raises(TypeError, match="Deaf.on_receive must be async: write `async def on_receive`"):

        class Deaf(WebSocketEndpoint):
            def on_receive(self, websocket: WebSocket, data: str) -> None:  # type: ignore[override]
                pass


@pytest.mark.parametrize(("name", "meant"), [("on_recieve", "on_receive"), ("on_disconect", "on_disconnect")])
def test_a_hook_that_is_misspelt(name: str, meant: str) -> None:
    """Nobody would ever call it."""

    async def hook(self: WebSocketEndpoint, websocket: WebSocket) -> None: ...

    with pytest.raises(TypeError, match=f"Deaf.{name} is no hook; did you mean {meant}?"):
        type("Deaf", (WebSocketEndpoint,), {name: hook})


def test_methods_of_ones_own_may_begin_with_on() -> None:
    """Only what is nearly a hook is taken for a mistake."""

    class Game(WebSocketEndpoint):
        async def on_move(self) -> None: ...

    assert Game.on_move


def test_an_encoding_that_could_never_fit() -> None:
    """A class that msgspec does not know would refuse every message, and blame the client."""

    class Plain:
        pass

    with pytest.raises(TypeError, match="use a Struct, a dataclass or an attrs class"):

        class Typed(WebSocketEndpoint):
            encoding = Plain


@pytest.mark.parametrize("decorator", ["websocket", "route"])
def test_a_decorator_without_a_path(decorator: str) -> None:
    """Without its parentheses it would decorate nothing."""
    with pytest.raises(TypeError, match=f"the path is missing: write @app.{decorator}"):
        getattr(App(), decorator)(WebSocketEndpoint)


async def test_a_send_in_on_disconnect(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """It cannot work, and what stands behind it does not run, so the log says so."""

    class Polite(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            await websocket.send_text("bye")

    async with connect(Polite):
        pass
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "on_disconnect stopped where it sent or received" in caplog.text


async def test_a_disconnect_at_the_top_of_a_foreign_application(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Starlette lets it through, and a client that leaves is nobody's error."""

    async def receive_for_ever(websocket: StarletteWebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.receive_text()

    async with connect(Starlette(routes=[WebSocketRoute("/", receive_for_ever)])) as client:
        await client.send("hello")
    assert caplog.records == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_open", "on_connect"),
        ("on_message", "on_receive"),
        ("on_data", "on_receive"),
        ("on_close", "on_disconnect"),
        ("on_recieve", "on_receive"),
    ],
)
def test_hooks_of_other_frameworks(name: str, meant: str) -> None:
    """A hook that is called otherwise elsewhere is found when the class is written, and not silently never called."""

    async def hook(self: object, *args: object) -> None: ...

    with pytest.raises(TypeError, match=rf"did you mean {meant}\?"):
        type("Chat", (WebSocketEndpoint,), {name: hook})


def test_an_init_of_its_own() -> None:
    """One that the server could not call is found when the class is written; one that it can is fine."""
    with pytest.raises(TypeError, match="set attributes in on_connect"):

        class Chat(WebSocketEndpoint):
            def __init__(self) -> None: ...

    class Counted(WebSocketEndpoint):
        def __init__(self, scope: Any, receive: Any, send: Any) -> None:
            super().__init__(scope, receive, send)


async def wait_in_a_queue() -> None:
    await asyncio.Queue[int]().get()


async def look_for_a_loop() -> None:
    raise RuntimeError("There is no current event loop in thread 'wsframework test client'.")  # which is asyncio's


@pytest.mark.parametrize("call", [lambda: asyncio.sleep(1), wait_in_a_queue, look_for_a_loop])
async def test_asyncio_in_a_hook(call: Callable[[], Awaitable[None]], autojump_clock: MockClock) -> None:
    """The error says what to use instead."""

    class Asleep(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            await call()

    with pytest.raises((RuntimeError, AttributeError)) as caught:
        async with connect(Asleep) as client:
            await client.send("now")
            await client.wait_closed()
    assert "use trio.sleep for asyncio.sleep" in caught.value.__notes__[0]


@pytest.mark.parametrize("name", ["on_connect", "on_receive", "on_disconnect"])
def test_a_hook_that_takes_too_little(name: str) -> None:
    """It is found when the class is written."""

    async def hook(self: object) -> None: ...

    with pytest.raises(TypeError, match=rf"Chat.{name} is called with .*: write `async def {name}\(self, websocket"):
        type("Chat", (WebSocketEndpoint,), {name: hook})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda websocket: websocket.send_text(websocket.receive_text()), "WebSocket.receive_text.* write `await`"),
        (lambda websocket: websocket.send_bytes(websocket.receive_bytes()), "WebSocket.receive_bytes.* write `await`"),
        (lambda websocket: websocket.send_json(websocket.receive_json()), "WebSocket.receive_json.* write `await`"),
        (lambda websocket: websocket.send(websocket.receive()), "WebSocket.receive.* write `await`"),
        (lambda websocket: websocket.send("hello"), "for messages there is send_text, send_bytes, send_json"),
        (lambda websocket: websocket.send({"text": "hello"}), "for messages there is send_text, send_bytes, send_json"),
        (lambda websocket: websocket.send_json(object()), "cannot be sent as JSON: .* type object is unsupported"),
        (lambda websocket: websocket.app.hub.subscribe("news", websocket), "and then the topic, not 'news'"),
        (lambda websocket: websocket.app.hub.broadcast("news", websocket.receive()), "write `await`"),
    ],
)
async def test_a_call_with_the_wrong_thing(
    call: Callable[[WebSocket], Awaitable[Any]], words: str, autojump_clock: MockClock
) -> None:
    """The error says what was meant, and nothing is sent."""
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(TypeError, match=words):
            await call(websocket)
        await websocket.send_text("the next")

    async with connect(app) as client:
        assert await client.receive() == "the next"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda websocket: websocket.accept(headers={"x": "y"}), "a list of pairs of bytes, such as"),
        (lambda websocket: websocket.send_denial_response("no"), "one of Starlette's, such as .* not str"),
    ],
)
async def test_an_answer_with_the_wrong_thing(
    answer: Callable[[WebSocket], Awaitable[Any]], words: str, autojump_clock: MockClock
) -> None:
    """The error says what was meant, and the handshake may still be answered."""
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        with pytest.raises(TypeError, match=words):
            await answer(websocket)
        await websocket.accept()
        await websocket.send_text("welcome")

    async with connect(app) as client:
        assert await client.receive() == "welcome"
