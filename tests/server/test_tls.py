"""TLS in between, with a client and a wire in memory: what passes, what is held back, and how it ends."""

import ssl
from contextlib import suppress
from typing import Any

import pytest
from hypercorn.config import Config

from tests.server.tlspair import FakeReceiver, Pair
from wsframework import StartupError
from wsframework.server.tls import make_context
from wsframework.server.wire import SEND_SIZE


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
