"""Both ends of a TLS connection in memory, ours over a wire that only takes what has room."""

import ssl
from pathlib import Path

import attrs
import trustme

from wsframework.server.tls import TLSWire

AUTHORITY = trustme.CA()


@attrs.define
class FakeWire:
    """The wire below: it takes as many bytes as there is room for."""

    taken: bytearray = attrs.field(factory=bytearray)
    room: int = 10_000_000
    asked: int = 0
    held: bool = False
    shut: bool = False
    closed: bool = False
    broken: bool = False
    behind: bool = False

    def start(self, receiver: object) -> None:
        """Nothing comes by itself."""

    def send(self, data: bytes | memoryview) -> int:
        if self.broken:
            raise BrokenPipeError
        piece = data[: self.room]
        self.room -= len(piece)
        self.taken += piece
        return len(piece)

    def ask_to_write(self) -> None:
        self.asked += 1

    def hold(self) -> None:
        self.held = True

    def resume(self) -> None:
        self.held = False

    def shut_down(self) -> None:
        self.shut = True

    def close(self) -> None:
        self.closed = True


@attrs.define
class FakeReceiver:
    """Writes down what it is told."""

    told: list[object] = attrs.field(factory=list)

    def received(self, data: bytes) -> None:
        self.told.append(data)

    def writable(self) -> None:
        self.told.append("writable")

    def hung_up(self) -> None:
        self.told.append("hung up")

    def abandon(self) -> None:
        self.told.append("abandoned")


class Pair:
    """Both ends of a TLS connection; `exchange` carries records until there are no more."""

    def __init__(
        self,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        context: ssl.SSLContext | None = None,
        secrets: Path | None = None,
    ) -> None:
        context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        AUTHORITY.issue_cert("localhost").configure_cert(context)
        self.wire = FakeWire()
        self.receiver = FakeReceiver()
        self.tls = TLSWire(self.wire, context)
        self.tls.start(self.receiver)
        trusting = ssl.create_default_context()
        trusting.maximum_version = version
        if secrets is not None:
            trusting.keylog_filename = str(secrets)
        AUTHORITY.configure_trust(trusting)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = trusting.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def shake_hands(self) -> None:
        for _ in range(3):
            try:
                self.client.do_handshake()
            except ssl.SSLWantReadError:
                pass
            self.exchange()

    def exchange(self) -> None:
        """What the client has to send arrives, and what the server has sent."""
        if data := self.outgoing.read():
            self.tls.received(data)
        self.incoming.write(bytes(self.wire.taken))
        self.wire.taken.clear()

    def read(self) -> bytes:
        """Return what the client can read now."""
        self.exchange()
        data = b""
        while True:
            try:
                more = self.client.read(100_000)
            except ssl.SSLWantReadError:
                return data
            if not more:
                return data + b"<close_notify>"
            data += more
