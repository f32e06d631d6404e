"""WebSocket: the request it came with, its handshake, its states and its end."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect as StarletteDisconnect
from starlette.websockets import WebSocketState
from trio.testing import MockClock

from wsframework import App, CloseCode, WebSocket, WebSocketDisconnect
from wsframework.testing import HandshakeRefused, connect


def serve(function: Callable[[WebSocket], Awaitable[None]], path: str = "/") -> App:
    app = App()
    app.websocket(path)(function)
    return app


async def test_the_request(autojump_clock: MockClock) -> None:
    """Everything that Starlette's WebSocket tells of the request is there, under the same names."""
    seen: list[WebSocket] = []

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        seen.append(websocket)

    app = serve(endpoint, "/chat/{room}/{number:int}")
    headers = [("X-Tag", "a"), ("X-Tag", "b"), ("Cookie", "session=abc; theme=dark")]
    async with connect(app, "/chat/a%20b/7?q=1&q=2&empty=", headers=headers):
        pass
    [websocket] = seen
    assert str(websocket.url) == "ws://testserver/chat/a b/7?q=1&q=2&empty="
    assert (websocket.url.scheme, websocket.url.hostname) == ("ws", "testserver")
    assert websocket.url.query == "q=1&q=2&empty="
    assert websocket.headers["sec-websocket-version"] == "13"
    assert websocket.headers["SEC-WEBSOCKET-VERSION"] == "13"
    assert websocket.headers.getlist("x-tag") == ["a", "b"]
    assert websocket.query_params["q"] == "2"
    assert websocket.query_params.getlist("q") == ["1", "2"]
    assert websocket.query_params["empty"] == ""
    assert websocket.path_params == {"room": "a b", "number": 7}
    assert websocket.cookies == {"session": "abc", "theme": "dark"}
    assert websocket.client is not None
    assert websocket.client.host == "127.0.0.1"
    assert websocket.app is app
    assert websocket.url_for("endpoint", room="a", number=1) == "ws://testserver/chat/a/1"


async def test_the_scope_as_a_mapping(autojump_clock: MockClock) -> None:
    """A WebSocket is a mapping over its scope, is equal to itself only, and can be in a set."""
    seen: list[WebSocket] = []

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        seen.append(websocket)

    app = serve(endpoint)
    async with connect(app), connect(app):
        pass
    one, other = seen
    assert one["path"] == "/"
    assert one["type"] == "websocket"
    assert dict(one) == one.scope
    assert len(one) == len(one.scope)
    with pytest.raises(KeyError):
        one["nonsense"]
    assert one != other
    assert len({one, other, one}) == 2


async def test_state(autojump_clock: MockClock) -> None:
    """websocket.state is a place for what belongs to one connection."""
    seen: list[Any] = []

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        seen.append(getattr(websocket.state, "user", None))
        websocket.state.user = "ada"
        seen.append(websocket.state.user)

    app = serve(endpoint)
    async with connect(app), connect(app):
        pass
    assert seen == [None, "ada", None, "ada"]


async def test_states(autojump_clock: MockClock) -> None:
    """client_state and application_state tell Starlette's words, close_code and repr more."""
    seen: list[Any] = []

    def note(websocket: WebSocket) -> None:
        assert websocket.application_state is websocket.client_state
        seen.append((websocket.client_state, websocket.close_code, repr(websocket)))

    async def endpoint(websocket: WebSocket) -> None:
        note(websocket)
        await websocket.accept()
        note(websocket)
        async for _ in websocket.iter_text():
            pass
        note(websocket)

    async with connect(serve(endpoint, "/room"), "/room") as client:
        await client.close(4000, "off")
    assert seen == [
        (WebSocketState.CONNECTING, None, "<WebSocket /room connecting>"),
        (WebSocketState.CONNECTED, None, "<WebSocket /room connected>"),
        (WebSocketState.DISCONNECTED, 4000, "<WebSocket /room 4000 (private use): off>"),
    ]


async def test_a_subprotocol(autojump_clock: MockClock) -> None:
    """accept agrees on one of the subprotocols that the client offered."""
    seen: list[Any] = []

    async def endpoint(websocket: WebSocket) -> None:
        seen.append((websocket["subprotocols"], websocket.subprotocol))
        await websocket.accept(subprotocol="v2.chat")
        seen.append(websocket.subprotocol)

    async with connect(serve(endpoint), subprotocols=["v1.chat", "v2.chat"]) as client:
        assert client.subprotocol == "v2.chat"
    assert seen == [(["v1.chat", "v2.chat"], None), "v2.chat"]


async def test_a_subprotocol_that_was_not_offered(autojump_clock: MockClock) -> None:
    """Another one is a ValueError that tells the offer; the handshake is still open."""

    async def endpoint(websocket: WebSocket) -> None:
        with pytest.raises(ValueError, match=r"'v3' was not offered by the client \(it offered: v1, v2\)"):
            await websocket.accept("v3")
        assert websocket.client_state is WebSocketState.CONNECTING
        await websocket.accept("v1")

    async with connect(serve(endpoint), subprotocols=["v1", "v2"]) as client:
        assert client.subprotocol == "v1"


async def test_headers_of_the_answer(autojump_clock: MockClock) -> None:
    """accept sends more header fields along."""

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept(headers=[(b"x-room", b"1"), (b"set-cookie", b"a=b")])

    async with connect(serve(endpoint)) as client:
        assert (b"x-room", b"1") in client.headers
        assert (b"set-cookie", b"a=b") in client.headers


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ((b"x-a", b"1\r\nx-b: 2"), ValueError),
        ((b"x a", b"1"), ValueError),
        (("x-a", "1"), TypeError),
        ((b"Upgrade", b"h2c"), ValueError),
        ((b"sec-websocket-protocol", b"v1"), ValueError),
    ],
)
async def test_headers_that_must_not_travel(header: Any, error: type[Exception], autojump_clock: MockClock) -> None:
    """A header that would break the answer is refused, and the handshake is still open."""

    async def endpoint(websocket: WebSocket) -> None:
        with pytest.raises(error):
            await websocket.accept(headers=[header])
        await websocket.accept()

    async with connect(serve(endpoint)):
        pass


async def test_accepting_twice(autojump_clock: MockClock) -> None:
    """The second accept is a mistake."""

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(RuntimeError, match="accept was called twice"):
            await websocket.accept()
        await websocket.send_text("goes on")

    async with connect(serve(endpoint)) as client:
        assert await client.receive() == "goes on"


async def test_refusing(autojump_clock: MockClock) -> None:
    """close before accept refuses with 403; what is called after that meets a WebSocketDisconnect."""
    seen: list[Any] = []

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.close(4003, "members only")
        for call in (websocket.accept, websocket.receive_text, lambda: websocket.send_text("")):
            with pytest.raises(WebSocketDisconnect) as end:
                await call()
            seen.append((end.value.code, end.value.reason))

    with pytest.raises(HandshakeRefused) as refused:
        async with connect(serve(endpoint)):
            pass
    assert refused.value.status == 403
    assert seen == [(4003, "members only")] * 3


@pytest.mark.parametrize("code", [CloseCode.GOING_AWAY, 1000, 1013, 3000, 4999])
async def test_closing(code: int, autojump_clock: MockClock) -> None:
    """The client gets the code and the reason; None is no reason, as in Starlette."""

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(code, None if code == 1000 else "ü" * 61)

    async with connect(serve(endpoint)) as client:
        end = await client.wait_closed()
        assert (end.code, end.reason) == (code, "" if code == 1000 else "ü" * 61)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((1005,), ValueError, "close code 1005 may not be sent"),
        ((1006,), ValueError, "1006 may not be sent"),
        ((999,), ValueError, "use 1000 to 1014"),
        ((5000,), ValueError, "or 3000 to 4999"),
        (("1000",), TypeError, "a close code is an integer such as 1000, not '1000'"),
        ((True,), TypeError, "not True"),
        ((1000, "ü" * 62), ValueError, "at most 123 bytes in UTF-8, this one has 124"),
        ((1000, b"bytes"), TypeError, "a close reason is a string, not bytes"),
    ],
)
async def test_closing_with_what_must_not_travel(
    arguments: tuple[Any, ...], error: type[Exception], words: str, autojump_clock: MockClock
) -> None:
    """A code or reason that may not be sent is refused, and the connection goes on."""

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(error, match=words):
            await websocket.close(*arguments)
        assert websocket.close_code is None
        await websocket.send_text("goes on")

    async with connect(serve(endpoint)) as client:
        assert await client.receive() == "goes on"


async def test_starlettes_exception_catches_ours(autojump_clock: MockClock) -> None:
    """An `except` clause that was written for Starlette keeps working."""
    caught: list[tuple[int, str]] = []

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive_text()
        except StarletteDisconnect as end:
            caught.append((end.code, end.reason))

    async with connect(serve(endpoint)) as client:
        await client.close(4000, "off")
    assert caught == [(4000, "off")]


def test_a_scope_of_another_type() -> None:
    """A WebSocket is made of a scope of type websocket."""
    with pytest.raises(TypeError, match="a WebSocket needs a scope of type 'websocket', this one is 'http'"):
        WebSocket({"type": "http"}, None, None)  # type: ignore[arg-type]


async def test_a_websocket_made_by_hand(autojump_clock: MockClock) -> None:
    """Without a route or an endpoint to run it, it works, but has no nursery for children."""

    async def application(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "websocket":
            websocket = WebSocket(scope, receive, send)
            with pytest.raises(RuntimeError, match=r"start_soon needs a nursery: use a WebSocketRoute"):
                websocket.start_soon(websocket.receive_text)
            await websocket.accept()
            async for text in websocket.iter_text():
                await websocket.send_text(text)

    async with connect(application) as client:
        await client.send("hello")
        assert await client.receive() == "hello"
