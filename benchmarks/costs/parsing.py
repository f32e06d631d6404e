"""What it costs to read and write frames, request heads and lines of the access log."""

import io
import logging

import h11
from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from wsframework.access_log import AccessRecord, log_access
from wsframework.limits import MIB
from wsframework.server.framereader import FrameReader
from wsframework.server.frames import encode_message
from wsframework.server.head.plain import parse_plain

from .timing import Table, measure, repeat

TEXT = "x" * 32
MASK = b"\x12\x34\x56\x78"


def _client_frame(payload: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    return Frame(opcode, payload).serialize(mask=True)


FRAME = _client_frame(TEXT.encode())

HEAD = (
    b"GET /chat/kitchen?page=1 HTTP/1.1\r\n"
    b"Host: chat.example.com\r\n"
    b"Connection: Upgrade\r\n"
    b"Pragma: no-cache\r\n"
    b"Cache-Control: no-cache\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0\r\n"
    b"Upgrade: websocket\r\n"
    b"Origin: https://chat.example.com\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-US,en;q=0.9\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    b"\r\n"
)


def frames() -> Table:
    """A message of 32 bytes that comes in and goes out, by three parsers that do no I/O."""
    reader = FrameReader(MIB)
    theirs = Protocol(SERVER)
    wsproto = Connection(ConnectionType.SERVER)

    def ours() -> None:
        message = reader.feed_one(FRAME)
        assert message is not None
        encode_message(message)

    def websockets() -> None:
        theirs.receive_data(FRAME)
        for event in theirs.events_received():
            assert isinstance(event, Frame)
            theirs.send_text(event.data)
        theirs.data_to_send()

    def with_wsproto() -> None:
        wsproto.receive_data(FRAME)
        for event in wsproto.events():
            assert isinstance(event, TextMessage)
            wsproto.send(TextMessage(event.data))

    cases = {"wsframework": repeat(ours), "websockets": repeat(websockets), "wsproto": repeat(with_wsproto)}
    return measure("Frames: a message of 32 bytes in and out", cases)


def floods() -> Table:
    """What a read of 64 KiB can hold at worst."""
    pings = _client_frame(b"", Opcode.PING) * (64 * 1024 // 6)

    def feed() -> None:
        reader = FrameReader(MIB)
        reader.feed(pings)
        while reader.behind:
            reader.feed(b"")

    return measure("Frames: a read of 64 KiB that is full of empty pings", {"wsframework": repeat(feed)})


def heads() -> Table:
    """The request head of a browser that opens a WebSocket."""

    def with_h11() -> None:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(HEAD)
        assert isinstance(connection.next_event(), h11.Request)

    def ours() -> None:
        assert parse_plain(HEAD) is not None

    return measure("A browser's request head", {"wsframework": repeat(ours), "h11": repeat(with_h11)})


def access_lines() -> Table:
    """A line of the access log, as `wsframework run` writes it, into a file that costs nothing."""
    logger = logging.getLogger("wsframework.access")
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def write() -> None:
        record = AccessRecord(
            type="websocket",
            client="127.0.0.1:52114",
            method="GET",
            path="/chat",
            http_version="1.1",
            status=101,
            close_code=1000,
            duration=194.2,
            messages_in=12,
            bytes_in=1100,
            messages_out=340,
            bytes_out=90_000,
        )
        log_access(record)

    def case(count: int) -> float:
        handler.setStream(io.StringIO())
        level, propagate = logger.level, logger.propagate
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            return repeat(write)(count)
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate

    return measure("The access log", {"one line": case})
