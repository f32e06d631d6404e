"""A client of HTTP/2 that opens WebSockets in it (RFC 8441), for tests. It uses h2, and trio for everything else."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import trio

from tests.net.servers import Stream, frame

Fields = list[tuple[str, str]]


class HTTP2Client:
    """One connection. `connected` reads for all of its streams.

    Attributes:
        ended: set when the server has closed the connection.
        goodbye: the error code of its GOAWAY, if there was one.
        last_reset: the error code of the last stream that it has reset, if there was one.
    """

    def __init__(self, stream: Stream, *, validate: bool = True) -> None:
        self.stream = stream
        self.state = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=True,
                header_encoding="utf-8",
                validate_outbound_headers=validate,
                normalize_outbound_headers=validate,
            )
        )
        self.settings = trio.Event()
        self.ended = trio.Event()
        self.goodbye: int | None = None
        self.last_reset: int | None = None
        self._streams: dict[int, HTTP2Stream] = {}
        self._sending = trio.Lock()

    async def request(self, fields: Fields, *, end: bool = True) -> HTTP2Stream:
        """Open a stream."""
        number = self.state.get_next_available_stream_id()
        self._streams[number] = stream = HTTP2Stream(self, number)
        self.state.send_headers(number, fields, end_stream=end)
        await self.flush()
        return stream

    async def get(self, path: str) -> tuple[str, bytes]:
        """Return status and body."""
        stream = await self.request(
            [(":method", "GET"), (":authority", "localhost"), (":scheme", "https"), (":path", path)]
        )
        status = await stream.receive_status()
        return status, await stream.receive_all()

    async def websocket(self, path: str = "/", *more: tuple[str, str], protocol: str = "websocket") -> HTTP2Stream:
        """Ask for a WebSocket."""
        await self.settings.wait()
        assert self.state.remote_settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1
        fields = [
            (":method", "CONNECT"),
            (":protocol", protocol),
            (":scheme", "https"),
            (":path", path),
            (":authority", "localhost"),
            ("sec-websocket-version", "13"),
            *more,
        ]
        return await self.request(fields, end=False)

    async def open_websocket(self, path: str = "/") -> HTTP2Stream:
        """Open a WebSocket, and see that it is one."""
        stream = await self.websocket(path)
        assert await stream.receive_status() == "200"
        return stream

    async def flush(self) -> None:
        """Send what h2 has to send."""
        await self.send_raw(b"")

    async def send_raw(self, data: bytes) -> None:
        """Send this too, whatever h2 would say of it."""
        async with self._sending:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self.stream.send_all(self.state.data_to_send() + data)

    async def run(self) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self.stream.receive_some():
                for event in self.state.receive_data(bytes(data)):
                    self._take(event)
                await self.flush()
        for stream in self._streams.values():
            stream.take_end()
        self.ended.set()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RemoteSettingsChanged():
                self.settings.set()
            case h2.events.ConnectionTerminated():
                self.goodbye = event.error_code
            case h2.events.ResponseReceived():
                self._streams[event.stream_id].take_head(list(event.headers))
            case h2.events.DataReceived():
                self._streams[event.stream_id].take_data(event.data, event.flow_controlled_length)
            case h2.events.StreamEnded():
                self._streams[event.stream_id].finished = True
                self._streams[event.stream_id].take_end()
            case h2.events.StreamReset():
                self.last_reset = event.error_code
                self._streams[event.stream_id].take_reset(event.error_code)


class HTTP2Stream:
    """A stream, as a client sees it.

    Attributes:
        fields: of the answer, as they came.
        headers: the same, by name.
        reset: the code with which the server has reset it, if it has.
        ended: nothing more will come, for whatever reason.
        finished: because the server has ended it.
    """

    def __init__(self, client: HTTP2Client, number: int) -> None:
        self.client = client
        self.number = number
        self.fields: Fields = []
        self.headers: dict[str, str] = {}
        self.reset: int | None = None
        self.ended = False
        self.finished = False
        self.reading = True  # its window is opened again for what comes, and not only the connection's
        self._data = bytearray()
        self._news = trio.Event()

    def take_head(self, fields: Fields) -> None:
        self.fields = fields
        self.headers = dict(fields)
        self._tell()

    def take_data(self, data: bytes, size: int) -> None:
        self._data += data
        if size:
            with suppress(h2.exceptions.StreamClosedError):
                if self.reading:
                    self.client.state.acknowledge_received_data(size, self.number)
                else:
                    self.client.state.increment_flow_control_window(size)
        self._tell()

    def take_end(self) -> None:
        self.ended = True
        self._tell()

    def take_reset(self, code: int) -> None:
        self.reset, self.ended = code, True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    @property
    def waiting(self) -> int:
        """How many bytes have come and were not received."""
        return len(self._data)

    async def wait_for_news(self) -> None:
        """Wait until something comes."""
        await self._news.wait()

    async def receive_status(self) -> str:
        while not self.headers:
            assert not self.ended, "the stream ended without an answer"
            await self._news.wait()
        return self.headers[":status"]

    async def receive(self, size: int) -> bytes:
        """Return so many bytes."""
        while len(self._data) < size:
            assert not self.ended, f"the stream ended after {bytes(self._data)!r}"
            await self._news.wait()
        data = bytes(self._data[:size])
        del self._data[:size]
        return data

    async def receive_all(self) -> bytes:
        """Return what comes until the stream ends."""
        while not self.ended:
            await self._news.wait()
        return bytes(self._data)

    async def receive_message(self) -> tuple[int, bytes]:
        """Return opcode and payload of a frame."""
        first, size = await self.receive(2)
        if size == 126:
            (size,) = struct.unpack("!H", await self.receive(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.receive(8))
        return first & 0x0F, await self.receive(size)

    async def send_message(self, payload: bytes, opcode: int = 1) -> None:
        await self.send(frame(payload, opcode))

    async def send(self, data: bytes, *, end: bool = False) -> None:
        """Send as the server's windows allow it."""
        state = self.client.state
        while data:
            size = min(state.local_flow_control_window(self.number), state.max_outbound_frame_size, len(data))
            if size:
                state.send_data(self.number, data[:size])
                data = data[size:]
                await self.client.flush()
            else:
                await trio.sleep(0.001)
        if end:
            state.end_stream(self.number)
            await self.client.flush()

    async def send_reset(self) -> None:
        self.client.state.reset_stream(self.number, 8)
        await self.client.flush()


@asynccontextmanager
async def connected(stream: Stream, *, validate: bool = True) -> AsyncIterator[HTTP2Client]:
    """Speak HTTP/2 on a stream inside the block."""
    client = HTTP2Client(stream, validate=validate)
    client.state.initiate_connection()
    async with stream, trio.open_nursery() as nursery:
        await client.flush()
        nursery.start_soon(client.run)
        yield client
        nursery.cancel_scope.cancel()
