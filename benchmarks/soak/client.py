"""A client on a bare socket, which can do to it what a library would not: stop reading, reset, break off."""

import socket
import struct
from base64 import b64encode
from os import urandom
from typing import Any

import attrs
import msgspec
import trio

_RECEIVE_BUFFER = 4096  # bytes that the kernel keeps for a client that does not read; it doubles this
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time, so that closing sends RST
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class EndedError(Exception):
    """The connection is over; the first argument is the close code, or None where there was none."""


class OrderError(Exception):
    """The server broke a promise: something came twice, out of order, or is missing without a word."""


@attrs.define
class Stream:
    """What a client expects of its room: every offset once, in order, and a gap where some are missing."""

    epoch: str | None = None
    offset: int = 0
    strict: bool = True
    """False for conflated rooms, where a newer message takes an older one's place."""

    @property
    def position(self) -> str:
        return f"{self.epoch}:{self.offset}"

    def take(self, message: Any) -> None:
        """Look at one message of a `wsframework.StandardEnvelope`.

        Raises:
            OrderError: it is not the one that was due.
        """
        if "offset" not in message:
            return  # presence
        epoch, offset = message["epoch"], message["offset"]
        expected = self.offset + 1 if self.epoch == epoch else offset
        if "gap" in message:
            count = message["gap"]
            self.epoch = epoch if count is not None else None  # None: whatever comes next is the beginning
            self.offset = offset + (count or 0)
        else:
            if self.strict and offset != expected:
                raise OrderError(f"{message['topic']}: offset {offset} came where {expected} was due ({epoch})")
            self.epoch, self.offset = epoch, offset


class Client:
    """One connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    @classmethod
    async def open(cls, port: int) -> "Client":
        """Connect, with a small receive buffer."""
        sock = trio.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        try:
            await sock.connect(("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return cls(trio.SocketStream(sock))

    async def request(self, path: str, *, upgrade: bool = True) -> None:
        """Send a request head, whole."""
        key = b64encode(urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1"]
        if upgrade:
            lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
            lines.append(f"Sec-WebSocket-Key: {key}")
        await self.send_raw(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def response(self) -> int:
        """Read a response head and return its status."""
        while b"\r\n\r\n" not in self._buffer:
            await self._read()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        return int(head.split()[1])

    async def websocket(self, path: str) -> None:
        """Become a WebSocket."""
        await self.request(path)
        if await self.response() != 101:
            raise EndedError(None)

    async def receive(self) -> Any:
        """Return the next message, as JSON, and answer pings. Raises `EndedError`."""
        while True:
            opcode, payload = await self._frame()
            if opcode == _TEXT:
                return msgspec.json.decode(payload)
            if opcode == _PING:
                await self._send_frame(_PONG, payload)
            elif opcode == _CLOSE:
                await self._send_frame(_CLOSE, payload)
                raise EndedError(int.from_bytes(payload[:2]) if payload else None)

    async def send(self, data: Any) -> None:
        await self._send_frame(_TEXT, msgspec.json.encode(data))

    async def send_close(self) -> None:
        await self._send_frame(_CLOSE, (1000).to_bytes(2))

    async def send_raw(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            raise EndedError(None) from None

    async def half_close(self) -> None:
        """Send FIN, and go on reading."""
        try:
            await self._stream.send_eof()
        except trio.BrokenResourceError:
            raise EndedError(None) from None

    async def read_raw(self) -> None:
        """Read something and forget it."""
        await self._read()
        self._buffer.clear()

    def reset(self) -> None:
        """Vanish with RST."""
        self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._stream.socket.close()

    async def _send_frame(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
        await self.send_raw(bytes([0x80 | opcode]) + length + bytes(4) + payload)  # a mask of zeros changes nothing

    async def _frame(self) -> tuple[int, bytes]:
        """Take a frame. Nothing is lost if it is cancelled: until all of it is there, it stays where it is."""
        head = 2
        await self._wait_for(head)
        size = self._buffer[1]
        if size >= 126:
            head += 2 if size == 126 else 8
            await self._wait_for(head)
            size = int.from_bytes(self._buffer[2:head])
        await self._wait_for(head + size)
        opcode, payload = self._buffer[0] & 15, bytes(self._buffer[head : head + size])
        del self._buffer[: head + size]
        return opcode, payload

    async def _wait_for(self, count: int) -> None:
        while len(self._buffer) < count:
            await self._read()

    async def _read(self) -> None:
        try:
            data = await self._stream.receive_some(65536)
        except trio.BrokenResourceError:
            raise EndedError(None) from None
        if not data:
            raise EndedError(None)
        self._buffer += data
