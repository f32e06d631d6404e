"""The life of an endpoint: its three hooks, in their order, once each."""

import tracemalloc

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from wsframework import CloseCode, WebSocket, WebSocketEndpoint
from wsframework.testing import HandshakeRefused, connect


async def test_hooks_run_in_order_on_one_instance(autojump_clock: MockClock) -> None:
    """on_connect runs first, on_receive for every message in its order, on_disconnect last; on one instance."""
    calls: list[tuple[object, ...]] = []

    class Recorder(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            self.told: list[object] = []
            await websocket.accept()
            calls.append(("connect", websocket is self.websocket))

        async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
            self.told.append(data)
            calls.append(("receive", websocket is self.websocket, data))

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            calls.append(("disconnect", websocket is self.websocket, close_code, self.told))

    async with connect(Recorder) as client:
        await client.send("one")
        await client.send(b"two")
    assert calls == [
        ("connect", True),
        ("receive", True, "one"),
        ("receive", True, b"two"),
        ("disconnect", True, 1000, ["one", b"two"]),
    ]


async def test_an_idle_client_keeps_no_message_alive(autojump_clock: MockClock) -> None:
    """What a client has sent is given back when its hook is done, and not when the next message comes."""
    message = "x" * 1_000_000

    class Counter(WebSocketEndpoint):
        encoding = "text"

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text(str(len(data)))

    async with connect(Counter) as client:
        tracemalloc.start()
        try:
            await client.send(message)
            assert await client.receive() == "1000000"
            await wait_all_tasks_blocked()
            assert tracemalloc.get_traced_memory()[0] < 500_000
        finally:
            tracemalloc.stop()


async def test_an_endpoint_without_hooks(autojump_clock: MockClock) -> None:
    """The hooks accept, ignore what comes, and say nothing, unless they are overridden."""

    class Silent(WebSocketEndpoint):
        pass

    async with connect(Silent) as client:
        await client.send("anybody?")
        await client.receive_nothing()


async def test_every_connection_has_an_instance(autojump_clock: MockClock) -> None:
    """Two clients meet two instances, so `self` is a place for what belongs to one client."""

    class Counter(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            self.count = 0
            await websocket.accept()

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            self.count += 1
            await websocket.send_text(str(self.count))

    async with connect(Counter) as one, connect(Counter) as other:
        for expected in ("1", "2"):
            await one.send("")
            assert await one.receive() == expected
        await other.send("")
        assert await other.receive() == "1"


async def test_one_hook_at_a_time(autojump_clock: MockClock) -> None:
    """A message waits until on_connect, and on_receive of the message before, have returned."""
    events: list[str] = []

    class Slow(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await trio.sleep(3)
            events.append("connected")

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            events.append(f"begin {data}")
            await trio.sleep(3)
            events.append(f"end {data}")

    async with connect(Slow) as client:
        await client.send("a")
        await client.send("b")
        await trio.sleep(20)
    assert events == ["connected", "begin a", "end a", "begin b", "end b"]


async def test_refusing_before_accept(autojump_clock: MockClock) -> None:
    """close() in on_connect refuses the handshake with 403: nothing is received, and on_disconnect gets the code."""
    calls: list[object] = []

    class Refusing(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.close(4003, "members only")

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            calls.append(data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            calls.append((close_code, websocket.close_reason))

    with pytest.raises(HandshakeRefused) as refused:
        async with connect(Refusing):
            pass
    assert refused.value.status == 403
    assert calls == [(4003, "members only")]


async def test_refusing_with_a_response_of_ones_own(autojump_clock: MockClock) -> None:
    """The raw events of the denial response refuse with any status and body; on_disconnect runs."""
    codes: list[int] = []

    class Login(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            headers = [(b"content-length", b"19"), (b"www-authenticate", b"Bearer")]
            await websocket.send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
            await websocket.send({"type": "websocket.http.response.body", "body": b"who are you?", "more_body": True})
            await websocket.send({"type": "websocket.http.response.body", "body": b" log in"})

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            codes.append(close_code)

    with pytest.raises(HandshakeRefused, match=r"401: who are you\? log in") as refused:
        async with connect(Login):
            pass
    assert (b"www-authenticate", b"Bearer") in refused.value.headers
    assert codes == [CloseCode.ABNORMAL_CLOSURE]


async def test_closing_in_on_connect(autojump_clock: MockClock) -> None:
    """After accept and close in on_connect no message is received, and on_disconnect gets the code that was sent."""
    calls: list[object] = []

    class Full(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.close(4029, "full")

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            calls.append(data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            calls.append((close_code, websocket.close_reason))

    async with connect(Full) as client:
        end = await client.wait_closed()
        assert (end.code, end.reason) == (4029, "full")
    assert calls == [(4029, "full")]


async def test_closing_in_on_receive(autojump_clock: MockClock) -> None:
    """After close() the loop ends, what the client had sent behind is not handled, and our code is on_disconnect's."""
    calls: list[object] = []

    class Guarded(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            calls.append(data)
            await websocket.send_text("bye")
            await websocket.close(4000, "enough")
            calls.append("closed")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            calls.append((close_code, websocket.close_reason))

    async with connect(Guarded) as client:
        for word in ("one", "two", "three"):
            await client.send(word)
        assert await client.receive() == "bye"
        end = await client.wait_closed()
        assert (end.code, end.reason) == (4000, "enough")
    assert calls == ["one", "closed", (4000, "enough")]


async def test_closing_from_outside(autojump_clock: MockClock) -> None:
    """Another task may close a connection that waits for its client; the loop ends with the code that it sent."""
    found: list[WebSocket] = []
    codes: list[int] = []

    class Kicked(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            found.append(websocket)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            codes.append(close_code)

    async with connect(Kicked) as client:
        await found[0].close(4001)
        assert (await client.wait_closed()).code == 4001
    assert codes == [4001]


async def test_closing_twice(autojump_clock: MockClock) -> None:
    """The first close counts, for the client and for on_disconnect; the second does nothing."""
    codes: list[int] = []

    class Twice(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.close(4001)
            await websocket.close(4002)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            await websocket.close(4003)
            codes.append(close_code)

    async with connect(Twice) as client:
        await client.send("")
        assert (await client.wait_closed()).code == 4001
    assert codes == [4001]


async def test_an_endpoint_awaits_its_connection(autojump_clock: MockClock) -> None:
    """An endpoint is used as in Starlette: `await Endpoint(scope, receive, send)` runs the connection."""
    after: list[str] = []

    class Echo(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text(data)

    async def application(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "websocket":
            await Echo(scope, receive, send)
            after.append("awaited")

    async with connect(application) as client:
        await client.send("hello")
        assert await client.receive() == "hello"
        assert after == []
    assert after == ["awaited"]


async def test_the_request_is_at_hand(autojump_clock: MockClock) -> None:
    """self.scope is there from the beginning, also in a constructor of one's own."""

    class Greeter(WebSocketEndpoint):
        def __init__(self, scope, receive, send):  # type: ignore[no-untyped-def]
            super().__init__(scope, receive, send)
            self.name = self.scope["query_string"].decode()

        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_text(self.name)

    async with connect(Greeter, "/?ada") as client:
        assert await client.receive() == "ada"
