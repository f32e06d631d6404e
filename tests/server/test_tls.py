"""TLS in between, with a client and a wire in memory: what passes, what is held back, and how it ends."""

import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypercorn.config import Config

from wsframework import StartupError
from wsframework.server.tls import TLSWire, make_context
from wsframework.server.wire import SEND_SIZE

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


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def pair(request: pytest.FixtureRequest) -> Pair:
    pair = Pair(request.param)
    pair.shake_hands()
    return pair


def test_both_ways(pair: Pair) -> None:
    """What one side writes the other reads, small or large, and what comes in one piece is told in one piece."""
    pair.client.write(b"hello")
    pair.client.write(b", ")
    pair.client.write(b"x" * 40_000)
    while pair.outgoing.pending:
        pair.exchange()
    assert b"".join(data for data in pair.receiver.told if isinstance(data, bytes))[:100] == b"hello, " + b"x" * 93
    assert len(pair.receiver.told) == 1
    assert pair.tls.send(b"hi") == 2
    assert pair.tls.send(b"y" * 200_000) == 200_000
    assert pair.read() == b"hi" + b"y" * 200_000


class WatchingContext(ssl.SSLContext):
    """Notes how full the buffers on both sides of its connection get."""

    most = 0

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **options: Any) -> ssl.SSLObject:
        self.bios = incoming, outgoing
        return super().wrap_bio(incoming, outgoing, *args, **options)

    def look(self) -> None:
        self.most = max(self.most, *(bio.pending for bio in self.bios))


class WatchedObject(ssl.SSLObject):
    """Has its context look at the moments at which its buffers are fullest."""

    context: WatchingContext

    def read(self, *args: Any) -> Any:
        self.context.look()
        return super().read(*args)

    def write(self, data: Any) -> int:
        written = super().write(data)
        self.context.look()
        return written


def test_buffers_stay_small() -> None:
    """They never shrink, so no more than about one record of TLS is put into them, whatever comes or is sent."""
    context = WatchingContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = WatchedObject
    pair = Pair(context=context)
    pair.shake_hands()
    data = bytes(range(256)) * 1000
    pair.client.write(data)
    pair.exchange()
    assert pair.receiver.told == [data]
    assert pair.tls.send(data) == len(data)
    assert pair.read() == data
    assert 16 * 1024 <= context.most < 17 * 1024


def test_byte_by_byte() -> None:
    """Records that arrive in pieces, the handshake's too, are what they would be in one."""
    pair = Pair()
    for _ in range(3):
        try:
            pair.client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        for byte in pair.outgoing.read():
            pair.tls.received(bytes([byte]))
        pair.exchange()
    pair.client.write(b"hello")
    for byte in pair.outgoing.read():
        pair.tls.received(bytes([byte]))
    assert pair.receiver.told == [b"hello"]


def test_a_client_that_is_behind(pair: Pair) -> None:
    """No more is taken than what is one piece of progress; room is asked for, and told when the records have left."""
    data = bytes(range(256)) * 4096
    pair.wire.room = 1000
    taken = pair.tls.send(data)
    assert taken == SEND_SIZE
    assert pair.tls.behind
    assert pair.wire.asked == 1
    assert pair.tls.send(data[taken:]) == 0
    pair.tls.ask_to_write()
    pair.wire.room = 1000
    pair.tls.writable()
    assert "writable" not in pair.receiver.told
    pair.wire.room = 10_000_000
    pair.tls.writable()
    assert pair.receiver.told == ["writable"]
    assert not pair.tls.behind
    assert pair.tls.send(data[taken:]) == len(data) - taken
    assert pair.read() == data


def test_switches_are_those_of_the_wire(pair: Pair) -> None:
    """To hold, to resume, a hang-up and a failure are passed on."""
    pair.tls.hold()
    assert pair.wire.held
    pair.tls.resume()
    assert not pair.wire.held
    pair.tls.hung_up()
    pair.tls.abandon()
    assert pair.receiver.told == ["hung up", "abandoned"]


def test_shut_down(pair: Pair) -> None:
    """The client is told with a close_notify, behind everything else, and the wire then ends its direction."""
    pair.wire.room = 0
    pair.tls.send(b"last words")
    pair.tls.shut_down()
    assert not pair.wire.shut
    pair.wire.room = 1000
    pair.tls.writable()
    assert pair.wire.shut
    assert pair.read() == b"last words<close_notify>"
    pair.client.write(b"I am not done")
    pair.exchange()
    assert pair.receiver.told == [b"I am not done"]


def test_close(pair: Pair) -> None:
    """To close sends a close_notify if that can be sent at once, and never in the middle of a record."""
    pair.tls.close()
    assert pair.wire.closed
    assert pair.read() == b"<close_notify>"
    other = Pair()
    other.shake_hands()
    other.wire.room = 10
    other.tls.send(b"last words")
    sent = bytes(other.wire.taken)
    other.tls.close()
    assert other.wire.taken == sent


def test_the_clients_end(pair: Pair) -> None:
    """A close_notify, behind what came before, and an end without one are the same."""
    pair.client.write(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.unwrap()
    pair.exchange()
    assert pair.receiver.told == [b"last words", b""]
    other = Pair()
    other.tls.received(b"")
    assert other.receiver.told == [b""]


def test_noise(pair: Pair) -> None:
    """Bytes that are no records end the connection, before the handshake and after it."""
    pair.tls.received(b"GET / HTTP/1.1\r\n\r\n")
    assert pair.receiver.told == [b""]
    for noise in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x01\xff\xff" + bytes(100)):
        other = Pair()
        other.tls.received(noise)
        assert other.receiver.told == [b""]


class Rekeying:
    """A client of TLS 1.3 whose records are made here, since Python's ssl cannot ask for new keys (RFC 8446)."""

    def __init__(self, secrets: Path) -> None:
        self.pair = Pair(secrets=secrets)
        self.pair.shake_hands()
        assert self.pair.client.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
        [line] = [line for line in secrets.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0")]
        self._use(bytes.fromhex(line.split()[-1]))

    def _use(self, secret: bytes) -> None:
        self._secret, self._number = secret, 0
        self._key, self._iv = self._expand(b"key", 32), self._expand(b"iv", 12)

    def _expand(self, label: bytes, length: int) -> bytes:
        label = b"tls13 " + label
        info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
        return HKDFExpand(SHA384(), length, info).derive(self._secret)

    def _record(self, content: bytes, kind: int) -> bytes:
        head = b"\x17\x03\x03" + (len(content) + 17).to_bytes(2, "big")
        nonce = (int.from_bytes(self._iv, "big") ^ self._number).to_bytes(12, "big")
        self._number += 1
        return head + AESGCM(self._key).encrypt(nonce, content + bytes([kind]), head)

    def data(self, content: bytes) -> bytes:
        return self._record(content, 23)

    def new_keys(self, count: int, *, ask: bool = False) -> bytes:
        """Use new keys so many times, and ask for new ones of the server each time."""
        records = b""
        for _ in range(count):
            records += self._record(b"\x18\0\0\x01" + bytes([ask]), 22)
            self._use(self._expand(b"traffic upd", 48))
        return records


@pytest.mark.parametrize("ask", [False, True])
def test_new_keys(tmp_path: Path, ask: bool) -> None:
    """A client may use new keys, and ask for new ones."""
    client = Rekeying(tmp_path / "secrets")
    for _ in range(100):
        client.pair.tls.received(client.new_keys(5, ask=ask) + client.data(b"hello"))
    assert client.pair.receiver.told == [b"hello"] * 100
    client.pair.tls.send(b"hi")
    assert client.pair.read() == b"hi"


def test_new_keys_without_end(tmp_path: Path) -> None:
    """What is no data costs time too: a client that sends nothing else is cut off, and what follows is not read."""
    client = Rekeying(tmp_path / "secrets")
    told = client.pair.receiver.told
    for _ in range(30):
        client.pair.tls.received(client.new_keys(40))
    assert told == []
    for _ in range(30):
        client.pair.tls.received(client.new_keys(40))
    assert told == [b""]
    client.pair.tls.received(client.data(b"hello"))
    assert told == [b""]


def test_many_new_keys_at_once(tmp_path: Path) -> None:
    """A read that is full of wishes for new keys ends the connection, also with data among them."""
    client = Rekeying(tmp_path / "secrets")
    flood = b"".join(client.new_keys(1, ask=True) + client.data(b"x") for _ in range(1000))
    client.pair.tls.received(flood)
    [data, end] = client.pair.receiver.told
    assert data == b"x" * len(str(data)[2:-1])
    assert len(data) < 500  # of the 1000
    assert end == b""


def test_new_keys_for_a_client_that_does_not_read(tmp_path: Path) -> None:
    """Answers wait for it up to a bound."""
    client = Rekeying(tmp_path / "secrets")
    client.pair.wire.room = 0
    assert client.pair.tls.send(bytes(100_000)) == SEND_SIZE
    told = client.pair.receiver.told
    while b"" not in told:
        client.pair.tls.received(client.new_keys(10, ask=True) + client.data(b"x"))
        assert len(told) < 100
    assert len(told) > 10


def test_a_wire_that_breaks(pair: Pair) -> None:
    """It is an error for who sends, and an end for who does not."""
    pair.wire.room = 0
    pair.tls.send(b"hello")
    pair.wire.broken = True
    pair.tls.writable()
    assert pair.receiver.told == [b""]
    with pytest.raises(BrokenPipeError):
        pair.tls.send(b"more")
    other = Pair()
    other.shake_hands()
    other.wire.broken = True
    with pytest.raises(BrokenPipeError):
        other.tls.send(b"hello")


def test_a_wire_that_breaks_while_somebody_waits_for_room(pair: Pair) -> None:
    """Who waits is woken, and finds out by sending, even if it has nothing more to send."""
    pair.wire.room = 0
    pair.tls.send(b"hello")
    pair.tls.ask_to_write()
    pair.wire.broken = True
    pair.tls.writable()
    assert pair.receiver.told == [b"", "writable"]
    assert pair.tls.behind
    with pytest.raises(BrokenPipeError):
        pair.tls.send(b"")


def test_an_end_is_told_to_who_comes_later(pair: Pair) -> None:
    """A close_notify is there once only, so the next receiver is told of it, but not before it has begun."""
    with suppress(ssl.SSLWantReadError):
        pair.client.unwrap()
    pair.exchange()
    assert pair.receiver.told == [b""]
    later = FakeReceiver()
    asked = pair.wire.asked
    pair.tls.start(later)
    assert later.told == []
    assert pair.wire.asked == asked + 1
    pair.tls.writable()
    pair.tls.writable()
    assert later.told == [b""]


def test_nothing_is_sent_before_the_handshake() -> None:
    """There is nobody yet who could read it."""
    pair = Pair()
    with pytest.raises(OSError, match="handshake"):
        pair.tls.send(b"hello")
    pair.tls.close()
    assert pair.wire.closed
    assert not pair.wire.taken


def test_no_certificate() -> None:
    """A configuration without one makes no context; one that cannot be read says so."""
    config = Config()
    assert make_context(config) is None
    config.certfile = config.keyfile = "/no/such/file.pem"
    with pytest.raises(StartupError, match="cannot read /no/such/file.pem"):
        make_context(config)
