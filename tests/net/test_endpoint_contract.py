"""What an endpoint may rely on, wherever it runs: one set of tests for every server.

Where stock hypercorn cannot keep a promise, the test asserts what it does keep, and says why.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from tests.net.servers import KINDS, MEBIBYTE, Kind
from wsframework import App, CloseCode, Limits, WebSocket, WebSocketDisconnect, WebSocketEndpoint, WebSocketRoute
from wsframework.testing import HandshakeRefused


@pytest.fixture(params=KINDS, ids=repr)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kind:
    kind: Kind = request.param
    kind.prepare(monkeypatch, tmp_path)
    return kind


class Diary:
    """What endpoints went through. Tests wait for an entry instead of sleeping."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self._written = trio.Event()

    def write(self, *entry: Any) -> None:
        self.entries.append(entry)
        self._written.set()
        self._written = trio.Event()

    def count(self, *entry: Any) -> int:
        return self.entries.count(entry)

    async def wait_for(self, name: str) -> tuple[Any, ...]:
        """The first entry of this name."""
        while True:
            for entry in self.entries:
                if entry[0] == name:
                    found: tuple[Any, ...] = entry
                    return found
            await self._written.wait()


@pytest.fixture
def diary() -> Diary:
    return Diary()


def errors_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


def serving(endpoint: Any) -> App:
    return App(routes=[WebSocketRoute("/", endpoint)])


class Echo(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))


def seen(kind: Kind, code: int, reason: str = "") -> tuple[int, str]:
    """What an endpoint learns of a client that closes like this."""
    # hypercorn tells its applications 1006 however the client left.
    return (CloseCode.ABNORMAL_CLOSURE, "") if kind.stock else (code, reason)


# Messages


@pytest.mark.parametrize(
    "message",
    ["text", b"bytes", "", b"", "ünï ☃ 🎈", "\0", b"\x00\xff", "x" * MEBIBYTE, b"\xaa" * MEBIBYTE],
    ids=["text", "bytes", "no text", "no bytes", "unicode", "nul", "not utf-8", "1 MiB text", "1 MiB bytes"],
)
async def test_echo(kind: Kind, message: str | bytes) -> None:
    """A message comes back as it was, of the same kind, and an empty one is a message."""
    async with kind.running(serving(Echo)) as served, served.connect() as client:
        await client.send(message)
        answer = await client.receive()
    assert type(answer) is type(message)
    assert answer == message


async def test_order(kind: Kind) -> None:
    """Messages that come in one after the other are handled and answered in that order."""
    async with kind.running(serving(Echo)) as served, served.connect() as client:
        for number in range(300):
            await client.send(str(number))
        assert [await client.receive() for _ in range(300)] == [str(number) for number in range(300)]


async def test_json_both_ways(kind: Kind) -> None:
    """An endpoint with a type gets values of it, and answers with values."""

    @attrs.define
    class Point:
        x: int
        y: int

    class Mirror(WebSocketEndpoint):
        encoding = Point

        async def on_receive(self, websocket: WebSocket, data: Point) -> None:
            await websocket.send_json(Point(data.y, data.x))

    async with kind.running(serving(Mirror)) as served, served.connect() as client:
        await client.send_json({"x": 1, "y": 2})
        assert await client.receive_json() == {"x": 2, "y": 1}


async def test_function_endpoint(kind: Kind) -> None:
    """A function iterates over the messages until it returns, which closes with 1000."""

    async def until_bye(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            if text == "bye":
                return
            await websocket.send_text(text)

    async with kind.running(serving(until_bye)) as served, served.connect() as client:
        await client.send("a")
        assert await client.receive() == "a"
        await client.send("bye")
        assert (await client.wait_closed()).code == CloseCode.NORMAL_CLOSURE


# The end


async def test_client_closes(kind: Kind, diary: Diary, caplog: pytest.LogCaptureFixture) -> None:
    """on_disconnect runs once, with the client's code and reason, and nothing is logged as an error."""

    class Watched(Echo):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code, websocket.close_reason)

    async with kind.running(serving(Watched)) as served:
        async with served.connect() as client:
            await client.send("a")
            await client.receive()
            await client.close(4321, "so long")
        assert (await diary.wait_for("gone"))[1:] == seen(kind, 4321, "so long")
    assert len(diary.entries) == 1
    assert not errors_in(caplog)


async def test_endpoint_closes(kind: Kind, diary: Diary) -> None:
    """The client gets the code and the reason that close was called with, and on_disconnect gets the same, once."""

    class Bouncer(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text("enough")
            await websocket.close(4000, "we are full")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code, websocket.close_reason)

    async with kind.running(serving(Bouncer)) as served, served.connect() as client:
        await client.send("let me in")
        assert await client.receive() == "enough"
        end = await client.wait_closed()
        assert (end.code, end.reason) == (4000, "we are full")
        await diary.wait_for("gone")
    assert diary.entries == [("gone", 4000, "we are full")]


async def test_client_vanishes(kind: Kind, diary: Diary, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that breaks ends with 1006, once, and is no error of ours."""

    class Watched(Echo):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Watched)) as served, served.connect() as client:
        await client.send("a")
        await client.receive()
        client.vanish()
        await diary.wait_for("gone")
    assert diary.entries == [("gone", CloseCode.ABNORMAL_CLOSURE)]
    assert not errors_in(caplog)


async def test_what_was_sent_before_the_goodbye_arrives(kind: Kind, diary: Diary) -> None:
    """A client that sends and leaves at once is still heard, in order, before on_disconnect."""

    class Slow(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.lowlevel.checkpoint()
            diary.write("message", data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Slow)) as served:
        async with served.connect() as client:
            for number in range(20):
                await client.send(str(number))
            await client.close()
        await diary.wait_for("gone")
    assert diary.entries[:-1] == [("message", str(number)) for number in range(20)]


async def test_children_end_with_the_client(kind: Kind, diary: Diary) -> None:
    """A task of the connection is cancelled when the client leaves, before on_disconnect."""

    class Parent(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.tick, websocket)

        async def tick(self, websocket: WebSocket) -> None:
            try:
                await websocket.send_text("tick")
                await trio.sleep_forever()
            finally:
                diary.write("child ended")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone")

    async with kind.running(serving(Parent)) as served:
        async with served.connect() as client:
            assert await client.receive() == "tick"
        await diary.wait_for("gone")
    assert diary.entries == [("child ended",), ("gone",)]


async def test_child_that_only_sends_ends(kind: Kind, diary: Diary) -> None:
    """Where nobody receives and a child only sends, a client that breaks off still ends everything."""

    class Ticker(WebSocketEndpoint):
        disconnect_grace = 0.05

        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.tick, websocket)
            await trio.sleep_forever()

        async def tick(self, websocket: WebSocket) -> None:
            while True:
                await websocket.send_text("tick")
                await trio.sleep(0.001)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Ticker)) as served:
        async with served.connect() as client:
            assert await client.receive() == "tick"
            client.vanish()
            await diary.wait_for("gone")
    assert diary.entries == [("gone", CloseCode.ABNORMAL_CLOSURE)]


async def test_busy_hook_gets_a_grace(kind: Kind, diary: Diary) -> None:
    """A hook that is running when the client leaves may finish within the grace; one that takes longer is cancelled."""

    class Busy(WebSocketEndpoint):
        disconnect_grace = 0.05

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            diary.write("begun")
            try:
                await trio.sleep(3600 if data == "for ever" else 0.01)
                diary.write("finished")
            except trio.Cancelled:
                diary.write("cancelled")
                raise

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone")

    for work, outcome in (("for a while", "finished"), ("for ever", "cancelled")):
        diary.entries.clear()
        async with kind.running(serving(Busy)) as served:
            async with served.connect() as client:
                await client.send(work)
                await diary.wait_for("begun")
                client.vanish()
                await diary.wait_for("gone")
        assert diary.entries == [("begun",), (outcome,), ("gone",)]


async def test_send_after_the_client_left(kind: Kind, diary: Diary) -> None:
    """A hook that goes on sending to a client that has left gets WebSocketDisconnect with its code."""

    class Stubborn(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            try:
                while True:
                    await websocket.send_text(data)
            except WebSocketDisconnect as end:
                diary.write("told", end.code)
                raise

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Stubborn)) as served:
        async with served.connect() as client:
            await client.send("a")
            await client.receive()
            client.vanish()
            await diary.wait_for("gone")
    assert diary.entries == [("told", CloseCode.ABNORMAL_CLOSURE), ("gone", CloseCode.ABNORMAL_CLOSURE)]


# Errors, whose fault they are


async def test_hook_raises(kind: Kind, diary: Diary, caplog: pytest.LogCaptureFixture) -> None:
    """An error in a hook closes its connection with 1011 and no word of the error; it is logged once; others go on."""

    class Fragile(Echo):
        async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
            if data == "break":
                raise LookupError("the secret of the house")
            await super().on_receive(websocket, data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Fragile)) as served, served.connect() as other:
        async with served.connect() as client:
            await client.send("break")
            end = await client.wait_closed()
            assert (end.code, end.reason) == (CloseCode.INTERNAL_ERROR, "")
        await diary.wait_for("gone")
        await other.send("still here")
        assert await other.receive() == "still here"
        assert diary.entries == [("gone", CloseCode.INTERNAL_ERROR)]
    assert len(errors_in(caplog)) == 1


async def test_on_connect_raises(kind: Kind, diary: Diary, caplog: pytest.LogCaptureFixture) -> None:
    """An error before accept is answered with 500, and on_disconnect runs."""

    class Fragile(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            raise LookupError("the secret of the house")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Fragile)) as served:
        with pytest.raises(HandshakeRefused) as refusal:
            async with served.connect():
                pytest.fail("it was accepted")
        await diary.wait_for("gone")
    assert refusal.value.status == 500
    assert b"secret" not in refusal.value.body
    assert diary.entries == [("gone", CloseCode.INTERNAL_ERROR)]
    assert len(errors_in(caplog)) == 1


@pytest.mark.parametrize(
    ("encoding", "message", "code"),
    [
        ("text", b"bytes", CloseCode.UNSUPPORTED_DATA),
        ("bytes", "text", CloseCode.UNSUPPORTED_DATA),
        ("json", "{", CloseCode.INVALID_PAYLOAD),
        (dict[str, int], '{"a": "b"}', CloseCode.INVALID_PAYLOAD),
    ],
    ids=["text", "bytes", "json", "typed"],
)
async def test_data_that_does_not_fit(
    kind: Kind, diary: Diary, caplog: pytest.LogCaptureFixture, encoding: Any, message: str | bytes, code: CloseCode
) -> None:
    """A message that does not fit the encoding closes the connection with the code for that: the client's mistake."""

    class Strict(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            diary.write("handled", data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    Strict.encoding = encoding
    Strict.__init_subclass__()
    async with kind.running(serving(Strict)) as served, served.connect() as client:
        await client.send(message)
        assert (await client.wait_closed()).code == code
        await diary.wait_for("gone")
    assert diary.entries == [("gone", code)]
    assert not errors_in(caplog)


@pytest.fixture
def limited(kind: Kind) -> Kind:
    """A server that keeps our `Limits`. A skip in an async test would lose its reason, so it is here."""
    if kind.stock:
        pytest.skip("hypercorn has a limit of its own, 16 MiB by default, and inflates before it looks")
    return kind


async def test_message_that_is_too_big(limited: Kind, caplog: pytest.LogCaptureFixture) -> None:
    """A message beyond the limit closes with 1009, and the client gets to read that."""
    limits = Limits(message=MEBIBYTE // 4)
    async with limited.running(serving(Echo), limits) as served, served.connect() as client:
        await client.send(b"x" * limits.message)
        await client.receive()
        await client.send(b"x" * (limits.message * 16))
        assert (await client.wait_closed()).code == CloseCode.MESSAGE_TOO_BIG
    assert not errors_in(caplog)


# The handshake


async def test_path_and_query_parameters(kind: Kind) -> None:
    """What stands in the address reaches the endpoint, decoded and converted."""
    app = App()

    @app.websocket("/room/{room}/{number:int}")
    async def tell(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json([websocket.path_params, dict(websocket.query_params)])

    async with kind.running(app) as served, served.connect("/room/t%C3%A9/7?a=1&b=%20") as client:
        assert await client.receive_json() == [{"room": "té", "number": 7}, {"a": "1", "b": " "}]


async def test_headers_both_ways(kind: Kind) -> None:
    """The endpoint reads the request's header fields and cookies; the client reads what accept added."""

    async def tell(websocket: WebSocket) -> None:
        await websocket.accept(headers=[(b"x-answer", b"42")])
        await websocket.send_json([websocket.headers["x-question"], websocket.cookies, websocket.url.scheme])

    headers = {"X-Question": "what", "Cookie": "flavour=oat"}
    async with kind.running(serving(tell)) as served, served.connect(headers=headers) as client:
        assert await client.receive_json() == ["what", {"flavour": "oat"}, served.scheme]
        assert (b"x-answer", b"42") in [(name.lower(), value) for name, value in client.headers]


async def test_subprotocol(kind: Kind) -> None:
    """The endpoint sees what the client offers and chooses one; the client sees the choice."""

    async def choose(websocket: WebSocket) -> None:
        offered = websocket["subprotocols"]
        await websocket.accept(subprotocol=offered[-1] if offered else None)
        await websocket.send_json(offered)

    async with kind.running(serving(choose)) as served:
        async with served.connect(subprotocols=["chat.v1", "chat.v2"]) as client:
            assert await client.receive_json() == ["chat.v1", "chat.v2"]
            assert client.subprotocol == "chat.v2"
        async with served.connect() as client:
            assert await client.receive_json() == []
            assert client.subprotocol is None


async def test_refused_before_accept(kind: Kind, diary: Diary, caplog: pytest.LogCaptureFixture) -> None:
    """close before accept answers the handshake with 403, and on_disconnect runs."""

    class Closed(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.close(CloseCode.POLICY_VIOLATION)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Closed)) as served:
        with pytest.raises(HandshakeRefused) as refusal:
            async with served.connect():
                pytest.fail("it was accepted")
        await diary.wait_for("gone")
    assert refusal.value.status == 403
    assert diary.entries == [("gone", CloseCode.POLICY_VIOLATION)]
    assert not errors_in(caplog)


async def test_path_that_no_route_knows(kind: Kind) -> None:
    """An unknown path is answered with 404, before the upgrade."""
    async with kind.running(serving(Echo)) as served:
        with pytest.raises(HandshakeRefused) as refusal:
            async with served.connect("/elsewhere"):
                pytest.fail("it was accepted")
    assert refusal.value.status == 404


# What lives beside the connections


async def test_broadcast(kind: Kind, diary: Diary) -> None:
    """A broadcast reaches every subscriber except those left out; a client that has left has no subscription."""

    class Room(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "room")
            await websocket.send_text("welcome")

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await self.hub.broadcast("room", data, exclude=websocket)
            await websocket.send_text("done")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", self.hub.statistics().subscribers)

    app = serving(Room)
    async with kind.running(app) as served, served.connect() as ada, served.connect() as grace:
        async with served.connect() as lynn:
            for client in (ada, grace, lynn):
                assert await client.receive() == "welcome"
            await ada.send("hello")
            assert await ada.receive() == "done"
            assert [await client.receive() for client in (grace, lynn)] == ["hello", "hello"]
        assert await diary.wait_for("gone") == ("gone", 2)
        await grace.send("she left")
        assert await grace.receive() == "done"
        assert await ada.receive() == "she left"


async def test_state_of_the_lifespan(kind: Kind) -> None:
    """What the lifespan yields is the state of every connection, its own copy of it."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
        yield {"greeting": "hello"}

    async def tell(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.state.greeting)
        websocket.state.greeting = "spoilt"

    app = App(routes=[WebSocketRoute("/", tell)], lifespan=lifespan)
    async with kind.running(app) as served:
        for _ in range(2):
            async with served.connect() as client:
                assert await client.receive() == "hello"
