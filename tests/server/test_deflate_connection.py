"""A connection that compresses: what was agreed is done, and every message can be read whatever happens around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
import trio
from hypothesis import HealthCheck, given
from trio.testing import wait_all_tasks_blocked
from websockets.extensions.permessage_deflate import PerMessageDeflate

from tests.server.builders import Client, arrive, client_close, client_frame, read_frames
from tests.server.test_deflate_frames import deflate
from wsframework import Deflate, Hub, Limits, Overflow, WebSocket, WebSocketDisconnect
from wsframework.compression import COMPRESSION, Compression
from wsframework.server.frames import PLAIN_FRAMES, Opcode
from wsframework.session import Session

OFFER = b"sec-websocket-extensions: permessage-deflate; client_max_window_bits"
ALL = Deflate(threshold=0)
TAKEOVER = Deflate(threshold=0, context_takeover=True)
LIMITS = Limits(ping_interval=None)


async def connected(
    default: Deflate | None = ALL, compression: Compression = None, offer: tuple[bytes, ...] = (OFFER,)
) -> tuple[Client, bytes]:
    """A connection of a client that offers compression, and the answer that it got."""
    client = arrive(limits=LIMITS, fields=offer, compression=default)
    await client.connection.accept(compression=compression)
    return client, client.gets()


class Reader:
    """The client's inflater, which sees every frame that we send, in order."""

    def __init__(self, client: Client) -> None:
        self._client = client
        takeover = "server_no_context_takeover" not in client.connection.extensions
        self._extension = PerMessageDeflate(not takeover, True, 12, 15)
        self.wire = b""

    def reads(self) -> list[str]:
        data = self._client.gets()
        self.wire += data
        return [bytes(frame.data).decode() for frame in read_frames(data, [self._extension]) if frame.opcode <= 2]


# The agreement


async def test_the_answer() -> None:
    """What was agreed on is in the answer, and the endpoint can read it."""
    client, answer = await connected()
    line = b"Sec-WebSocket-Extensions: " + client.connection.extensions.encode() + b"\r\n"
    assert line in answer
    assert client.connection.extensions.startswith("permessage-deflate; ")


@pytest.mark.parametrize(
    ("default", "compression", "on"),
    [
        (None, None, False),
        (None, "deflate", True),
        (None, ALL, True),
        (None, "off", False),
        (ALL, None, True),
        (ALL, "off", False),
    ],
)
async def test_who_decides(default: Deflate | None, compression: Compression, on: bool) -> None:
    """What the application says counts; without a word of it, the server's default does."""
    client, answer = await connected(default, compression)
    assert (b"permessage-deflate" in answer) is on
    assert (client.connection.wire_format is not PLAIN_FRAMES) is on


@pytest.mark.parametrize(
    "offer",
    [
        (),
        (b"sec-websocket-extensions: permessage-deflate; client_max_window_bits=abc",),
        (b"sec-websocket-extensions: ;;=,",),
        (b"sec-websocket-extensions: constructor",),
    ],
)
async def test_declined(offer: tuple[bytes, ...]) -> None:
    """A client without an offer that can be accepted is accepted without compression."""
    client, answer = await connected(offer=offer)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"extensions" not in answer.lower()
    await client.connection.send("hello")
    assert client.gets() == PLAIN_FRAMES.encode("hello")


async def test_through_the_asgi_triple() -> None:
    """An application behind middleware asks for compression in the event that accepts."""
    client = arrive(limits=LIMITS, fields=[OFFER])
    await client.connection.asgi_send({"type": "websocket.accept", COMPRESSION: ALL})
    assert client.connection.extensions


async def test_a_mistake_in_the_event() -> None:
    """A choice that there is not is told to the application, and nothing was answered."""
    client = arrive(limits=LIMITS, fields=[OFFER])
    with pytest.raises(TypeError, match="compression is"):
        await client.connection.asgi_send({"type": "websocket.accept", COMPRESSION: "gzip"})
    assert client.gets() == b""
    assert not client.connection.accepted


# Messages


@pytest.mark.parametrize("options", [ALL, TAKEOVER])
async def test_both_ways(options: Deflate) -> None:
    """Messages are inflated on their way in and compressed on their way out, counted as they are on the wire."""
    client, _ = await connected(options)
    reader = Reader(client)
    connection = client.connection
    frame = client_frame(Opcode.TEXT, deflate(b"hello " * 100), reserved=4)
    client.sends(frame)
    assert await connection.receive() == "hello " * 100
    await connection.send("hello " * 100)
    assert reader.reads() == ["hello " * 100]
    assert len(reader.wire) < 50
    assert (connection.messages_in, connection.messages_out) == (1, 1)
    assert (connection.bytes_in, connection.bytes_out) == (len(frame), len(reader.wire))


async def test_early_messages_are_inflated() -> None:
    """What came right behind the request head is read as was agreed in the answer to it."""
    frame = client_frame(Opcode.TEXT, deflate(b"early"), reserved=4)
    client = arrive(limits=LIMITS, fields=[OFFER], early=frame, compression=ALL)
    await client.connection.accept()
    assert await client.connection.receive() == "early"


async def test_a_broadcast_is_compressed_once() -> None:
    """All clients with the same agreement are offered the very same bytes."""
    first, _ = await connected(ALL)
    second, _ = await connected(TAKEOVER)
    assert first.connection.wire_format is second.connection.wire_format


async def test_small_messages() -> None:
    """With the usual threshold short messages go out as they are."""
    client, _ = await connected(Deflate())
    await client.connection.send("x" * 1023)
    assert client.gets() == PLAIN_FRAMES.encode("x" * 1023)
    await client.connection.send("x" * 1024)
    assert len(client.gets()) < 100


async def test_a_plain_broadcast_with_context_takeover() -> None:
    """A broadcast that went out without compression is in no window: the next message refers to the last one."""
    client, _ = await connected(Deflate(threshold=20, context_takeover=True))
    reader, connection = Reader(client), client.connection
    sizes = []
    for _ in range(3):
        before = len(reader.wire)
        await connection.send('{"temperature": 20.5, "place": "Madrid"}')
        assert reader.reads() == ['{"temperature": 20.5, "place": "Madrid"}']
        sizes.append(len(reader.wire) - before)
        assert connection.offer(connection.wire_format.encode("short"))
        assert reader.reads() == ["short"]
    assert max(sizes[1:]) < sizes[0] / 2


async def test_messages_of_a_kind_with_context_takeover() -> None:
    """Sends refer to earlier sends; after a broadcast, which the deflater has not seen, they start afresh."""
    client, _ = await connected(TAKEOVER)
    reader, connection = Reader(client), client.connection
    sizes = []
    for number in range(5):
        if number == 3:
            connection.offer(connection.wire_format.encode("something new " * 10))
            assert reader.reads() == ["something new " * 10]
        before = len(reader.wire)
        await connection.send(f'{{"temperature": 20.{number}, "place": "Madrid"}}')
        assert reader.reads() == [f'{{"temperature": 20.{number}, "place": "Madrid"}}']
        sizes.append(len(reader.wire) - before)
    assert sizes[1] == sizes[2] == sizes[4] < sizes[0] / 2
    assert sizes[3] == sizes[0]


async def test_text_that_cannot_be_sent_changes_nothing() -> None:
    """A message that is no UTF-8 is refused before it has left a trace in the compressor."""
    client, _ = await connected(TAKEOVER)
    reader = Reader(client)
    await client.connection.send("one")
    with pytest.raises(UnicodeEncodeError):
        await client.connection.send("\ud800")
    await client.connection.send("two")
    assert reader.reads() == ["one", "two"]


async def test_nothing_is_kept_of_a_connection_that_is_gone() -> None:
    """The sweeper may remember a connection for a while, and it is small then."""
    client, _ = await connected(TAKEOVER)
    await client.connection.send("one")
    client.leaves()
    assert client.connection._deflater is None
    assert client.connection._reader._inflater is None


async def test_closing() -> None:
    """Close frames are never compressed, and nothing is sent behind ours."""
    client, _ = await connected(TAKEOVER)
    client.sends(client_close(1000))
    assert client.gets() == b"\x88\x02\x03\xe8"
    with pytest.raises(WebSocketDisconnect):
        await client.connection.send("late")
    assert client.gets() == b""


# Whatever happens

script = st.lists(
    st.sampled_from(["send", "cancelled send", "broadcast", "large send", "ping", "tick", "takes all"])
    | st.integers(0, 60),
    max_size=40,
)


class Story:
    """Plays one example with a real hub, and notes what was said."""

    def __init__(self, options: Deflate) -> None:
        self.options = options
        self.hub = Hub(capacity=2, overflow=Overflow.DROP_OLDEST)
        self.said: list[str] = []
        self.must_arrive: list[str] = []

    def text(self, kind: str, size: int = 1) -> str:
        # Alike, so that the compressor refers back wherever it is allowed to.
        self.said.append(f"{kind} number {len(self.said)} of the same conversation as always" * size)
        return self.said[-1]

    async def play(self, steps: list[Any]) -> None:
        self.client, _ = await connected(self.options)
        connection = self.client.connection
        reader = Reader(self.client)
        websocket = WebSocket({"type": "websocket"}, connection.asgi_receive, connection.asgi_send)
        Session(websocket, "a test")
        async with self.hub.running(), trio.open_nursery() as self.nursery:
            await self.hub.subscribe(websocket, "news")
            for step in steps:
                await self._step(step)
            self.client.takes()
            await wait_all_tasks_blocked()
            self.client.takes()
            got = reader.reads()
            assert connection.messages_out == len(got)
            connection.mailbox.leave()  # type: ignore[union-attr]  # it has subscribed
            self.nursery.cancel_scope.cancel()
        places = [self.said.index(text) for text in got]
        assert places == sorted(set(places)), "in the order in which it was said, and once"
        assert set(self.must_arrive) <= set(got)

    async def _step(self, step: Any) -> None:
        match step:
            case "send" | "large send":
                text = self.text(step, 2000 if step == "large send" else 1)
                self.must_arrive.append(text)
                self.nursery.start_soon(self.client.connection.send, text)
                await wait_all_tasks_blocked()
            case "cancelled send":
                with trio.CancelScope() as scope:
                    self.nursery.start_soon(self._cancel, scope)
                    await self.client.connection.send(self.text(step))
            case "broadcast":
                self.hub.broadcast_nowait("news", self.text(step))
            case "ping":
                self.client.sends(client_frame(Opcode.PING, b"?"))
            case "tick":
                await wait_all_tasks_blocked()
            case "takes all":
                self.client.takes()
            case int(room):
                self.client.takes(room)

    async def _cancel(self, scope: trio.CancelScope) -> None:
        await wait_all_tasks_blocked()
        scope.cancel()


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        with trio.fail_after(10):
            await story()

    trio.run(main)


@hypothesis.settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(script, st.sampled_from([ALL, TAKEOVER, Deflate(threshold=70, context_takeover=True)]))
def test_the_client_can_read_everything(steps: list[Any], options: Deflate) -> None:
    """Sends, cancelled sends, broadcasts, drops and stalls in any order: an inflater reads it all, in order."""
    run(lambda: Story(options).play(steps))
