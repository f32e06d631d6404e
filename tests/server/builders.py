"""What a client sends, built by hand, and a wire that carries it nowhere."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from itertools import pairwise

import attrs
import h11
import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked
from websockets.extensions import Extension
from websockets.frames import Frame
from websockets.streams import StreamReader

from wsframework import Deflate, Limits, WebSocketDisconnect
from wsframework.server.connection import Connection
from wsframework.server.frames import Opcode
from wsframework.server.head.handshake import Handshake, check_upgrade
from wsframework.server.head.request import parse_request
from wsframework.server.upkeep import Upkeep
from wsframework.server.wire import Receiver

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # the proof for that key, as RFC 6455 section 1.3 has it
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"  # of every answer, see conftest.py
MASK = b"\x37\xfa\x21\x3d"


def mask_payload(payload: bytes, mask: bytes = MASK) -> bytes:
    """Mask or unmask, byte by byte, as section 5.3 writes it."""
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def client_frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, mask: bytes = MASK
) -> bytes:
    """A frame as a client sends it."""
    return client_header(opcode, len(payload), fin=fin, reserved=reserved, mask=mask) + mask_payload(payload, mask)


def client_header(
    opcode: int, size: int, *, fin: bool = True, reserved: int = 0, masked: bool = True, mask: bytes = MASK
) -> bytes:
    """The header alone, of a payload that may never come."""
    masked_bit = 0x80 if masked else 0
    if size < 126:
        length = bytes((masked_bit | size,))
    elif size < 0x10000:
        length = bytes((masked_bit | 126,)) + size.to_bytes(2, "big")
    else:
        length = bytes((masked_bit | 127,)) + size.to_bytes(8, "big")
    return bytes((fin << 7 | reserved << 4 | opcode,)) + length + (mask if masked else b"")


def client_text(text: str) -> bytes:
    return client_frame(Opcode.TEXT, text.encode())


def client_close(code: int | None = None, reason: str = "") -> bytes:
    """A close frame; without a code it is empty."""
    return client_frame(Opcode.CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


def server_frame(opcode: int, payload: bytes = b"") -> bytes:
    """A short frame as a server sends it."""
    assert len(payload) < 126
    return bytes((0x80 | opcode, len(payload))) + payload


def server_text(text: str) -> bytes:
    return server_frame(Opcode.TEXT, text.encode())


def server_close(code: int | None = None, reason: str = "") -> bytes:
    return server_frame(Opcode.CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


def upgrade(
    *extra: bytes, target: bytes = b"/", method: bytes = b"GET", version: bytes = b"1.1", **fields: bytes | None
) -> bytes:
    """An upgrade request. ``fields`` replaces one of its usual header fields, or leaves it out when None."""
    usual: dict[str, bytes | None] = {
        "host": b"example.com",
        "upgrade": b"websocket",
        "connection": b"Upgrade",
        "sec_websocket_key": KEY,
        "sec_websocket_version": b"13",
    }
    lines = [method + b" " + target + b" HTTP/" + version]
    for name, value in {**usual, **fields}.items():
        if value is not None:
            lines.append(name.replace("_", "-").encode() + b": " + value)
    return b"\r\n".join([*lines, *extra, b"", b""])


def handshake(*extra: bytes) -> Handshake:
    return check_upgrade(parse_request(upgrade(*extra), Limits()))


class FakeWire:
    """Takes what has room, and writes down what it was asked to do.

    Attributes:
        sent: every byte that was taken.
        writes: the same, write by write.
        room: bytes that it still takes; None takes all.
        broken: sending raises.
    """

    def __init__(self) -> None:
        self.sent = b""
        self.writes: list[bytes] = []
        self.room: int | None = None
        self.broken = False
        self.wanted = False
        self.held = False
        self.shut = 0
        self.closed = 0

    def send(self, data: bytes | memoryview) -> int:
        if self.broken:
            raise BrokenPipeError("nobody is there")
        taken = bytes(data) if self.room is None else bytes(data[: self.room])
        if self.room is not None:
            self.room -= len(taken)
        if taken:
            self.writes.append(taken)
        self.sent += taken
        return len(taken)

    def ask_to_write(self) -> None:
        self.wanted = True

    def hold(self) -> None:
        self.held = True

    def resume(self) -> None:
        self.held = False

    def shut_down(self) -> None:
        self.shut += 1

    def close(self) -> None:
        self.closed += 1

    def take_sent(self) -> bytes:
        """Everything that was sent since the last call."""
        sent, self.sent = self.sent, b""
        self.writes.clear()
        return sent


class StartableFakeWire(FakeWire):
    """A wire that can be started, and that may be behind with what it took, as one with TLS."""

    def __init__(self) -> None:
        super().__init__()
        self.receiver: Receiver | None = None
        self.behind = False

    def start(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def gets_room(self, size: int | None = None) -> None:
        """The other side takes something; whoever asked for that is told."""
        self.room = size
        if self.wanted:
            self.wanted = False
            assert self.receiver is not None
            self.receiver.writable()


@attrs.define
class Client:
    """A connection, seen from the wire: what the client does, and what the client gets."""

    connection: Connection
    wire: FakeWire
    gone: list[Connection] = attrs.Factory(list)

    def sends(self, *frames: bytes) -> None:
        """All these bytes arrive in one read."""
        self.connection.received(b"".join(frames))

    def leaves(self) -> None:
        self.connection.received(b"")

    def takes(self, size: int | None = None) -> None:
        """The client reads: so many bytes more have room, or all."""
        self.wire.room = size
        if self.wire.wanted:
            self.wire.wanted = False
            self.connection.writable()

    def stops_reading(self) -> None:
        self.wire.room = 0

    def falls_behind(self, frame: bytes) -> None:
        """The client stops reading, and this frame waits for it."""
        self.stops_reading()
        self.connection.offer(frame)

    def gets(self) -> bytes:
        """What has arrived since the last call."""
        return self.wire.take_sent()


def arrive(
    upkeep: Upkeep | None = None,
    limits: Limits | None = None,
    early: bytes = b"",
    fields: Iterable[bytes] = (),
    compression: Deflate | None = None,
) -> Client:
    """A connection whose handshake has not been answered."""
    wire = FakeWire()
    gone: list[Connection] = []
    connection = Connection(
        wire,
        handshake(*fields),
        limits or Limits(),
        upkeep or Upkeep(),
        early,
        on_gone=gone.append,
        compression=compression,
    )
    return Client(connection, wire, gone)


async def connected(upkeep: Upkeep | None = None, limits: Limits | None = None) -> Client:
    """A connection that has been accepted; the answer was read."""
    client = arrive(upkeep, limits)
    await client.connection.accept()
    client.gets()
    return client


def read_frames(data: bytes, extensions: Sequence[Extension] = ()) -> list[Frame]:
    """The frames in what a server sent, as the `websockets` library reads them. The last one may be cut off."""
    stream = StreamReader()
    stream.feed_data(data)
    frames = []
    while stream.buffer:
        parser: Generator[None, None, Frame] = Frame.parse(stream.read_exact, mask=False, extensions=extensions)
        try:
            next(parser)
        except StopIteration as stop:
            frames.append(stop.value)
        else:
            break
    return frames


def splits(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The same bytes in pieces, cut at these places."""
    places = [0, *sorted(cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(places) if begin < end]


def read_response(data: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, header fields and body of a response after which the connection has ended."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "example.com")]))
    client.receive_data(data)
    client.receive_data(b"")
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    return response.status_code, dict(response.headers), body


def end_of(client: Client) -> tuple[int | None, str]:
    return client.connection.close_code, client.connection.close_reason


async def receive_end(client: Client) -> tuple[int, str]:
    """Code and reason of the disconnect that receive raises."""
    with assert_checkpoints(), pytest.raises(WebSocketDisconnect) as caught:
        await client.connection.receive()
    return caught.value.code, caught.value.reason


def listen_for_end(client: Client) -> list[bool]:
    """What the session is told of the end, call by call."""
    told: list[bool] = []
    client.connection.on_end = told.append
    return told


async def cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()
