"""permessage-deflate (RFC 7692) in WebSockets over HTTP/2: agreed on in the extended CONNECT, as in an upgrade."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.extensions import permessage_deflate
from websockets.frames import Frame, Opcode

from tests.net.http2.client import HTTP2Client, HTTP2Stream, connected
from tests.net.servers import frame, open_stream, run_server
from wsframework import App, CloseCode, Deflate, WebSocket, WebSocketEndpoint

EXTENSIONS = "sec-websocket-extensions"
OFFER = (EXTENSIONS, "permessage-deflate; client_max_window_bits")
COMPRESSED = 0x40  # RSV1
MESSAGE = b"as often as not, " * 1000


class Echo(WebSocketEndpoint):
    """Echoes, and publishes what it is told to."""

    encoding = "bytes"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await self.hub.subscribe(websocket, "all")

    async def on_receive(self, websocket: WebSocket, data: bytes) -> None:
        if data == b"publish":
            await self.hub.broadcast("all", MESSAGE)
        else:
            await websocket.send_bytes(data)


@asynccontextmanager
async def serve(deflate: Deflate) -> AsyncIterator[HTTP2Client]:
    app = App()
    app.websocket("/", compression=deflate)(Echo)
    async with run_server(app) as server, connected(await open_stream(server.url)) as client:
        yield client


async def receive(stream: HTTP2Stream) -> tuple[bool, bytes]:
    """Whether the next message is compressed, and its payload as it was sent."""
    first, size = await stream.receive(2)
    if size == 126:
        size = int.from_bytes(await stream.receive(2), "big")
    assert first & 0x8F == 0x82
    return bool(first & COMPRESSED), await stream.receive(size)


def agreed(stream: HTTP2Stream, *, takeover: bool) -> permessage_deflate.PerMessageDeflate:
    """The client's end of the extension, as the answer to an offer says."""
    name, *parameters = stream.headers[EXTENSIONS].split("; ")
    assert name == "permessage-deflate"
    assert ("server_no_context_takeover" in parameters) is not takeover
    return permessage_deflate.PerMessageDeflate(
        remote_no_context_takeover="server_no_context_takeover" in parameters,
        local_no_context_takeover="client_no_context_takeover" in parameters,
        remote_max_window_bits=15,
        local_max_window_bits=12,
    )


@pytest.mark.parametrize("takeover", [False, True], ids=["each by itself", "context takeover"])
async def test_messages_both_ways(takeover: bool) -> None:
    """What a client compresses is understood, and comes back compressed."""
    async with serve(Deflate(context_takeover=takeover)) as client:
        stream = await client.websocket("/", OFFER)
        assert await stream.receive_status() == "200"
        extension = agreed(stream, takeover=takeover)
        sizes = []
        for _ in range(3):
            sent = extension.encode(Frame(Opcode.BINARY, MESSAGE))
            await stream.send(frame(bytes(sent.data), 2 | COMPRESSED))
            compressed, payload = await receive(stream)
            assert compressed
            sizes.append(len(payload))
            assert extension.decode(Frame(Opcode.BINARY, payload, rsv1=True)).data == MESSAGE
        assert max(sizes) < 200
        assert (sizes[1] < sizes[0]) is takeover


async def test_streams_that_agreed_and_that_did_not() -> None:
    """Both are on one connection, and both get a broadcast, each as it can read it."""
    async with serve(Deflate()) as client:
        with_it, without = await client.websocket("/", OFFER), await client.websocket("/")
        assert [await stream.receive_status() for stream in (with_it, without)] == ["200", "200"]
        assert EXTENSIONS not in without.headers
        for stream in (with_it, without):  # both are subscribed
            await stream.send_message(b"hello", 2)
            assert await receive(stream) == (False, b"hello")
        await without.send_message(b"publish", 2)
        assert await receive(without) == (False, MESSAGE)
        compressed, payload = await receive(with_it)
        assert compressed
        inflate = agreed(with_it, takeover=False)
        assert inflate.decode(Frame(Opcode.BINARY, payload, rsv1=True)).data == MESSAGE


async def test_a_message_that_grows_too_large() -> None:
    """It is closed with 1009 while it is being inflated, and the other streams go on."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    bomb = (compressor.compress(bytes(64 * 1024 * 1024)) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    async with serve(Deflate()) as client:
        stream, other = await client.websocket("/", OFFER), await client.websocket("/", OFFER)
        assert [await stream.receive_status() for stream in (stream, other)] == ["200", "200"]
        await stream.send(frame(bomb, 2 | COMPRESSED))
        opcode, payload = await stream.receive_message()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (8, CloseCode.MESSAGE_TOO_BIG)
        await other.send_message(b"still here", 2)
        assert await receive(other) == (False, b"still here")
