"""Bad offers of permessage-deflate, and what can be hidden in a compressed message."""

from __future__ import annotations

import zlib

import pytest

from tests.bad_input.attack import KIB, MIB, Attack, Case, Cases, Client, attacking, in_rows
from tests.bad_input.conftest import ServerFor
from tests.server.builders import client_close, client_frame, client_text, upgrade

CASES: Cases = []

EXTENSIONS = b"Sec-WebSocket-Extensions: "
OFFER = EXTENSIONS + b"permessage-deflate; client_max_window_bits"
NO_MASK = bytes(4)
RSV1 = 4
TEXT, BINARY, PING = 1, 2, 9


def compress(data: bytes) -> bytes:
    """One message, as small as it can be."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    return client_frame(opcode, payload, fin=fin, reserved=RSV1, mask=NO_MASK)


def connect(attack: Attack, path: str = "/deflate/echo") -> Client:
    """A client whose offer is taken."""
    client = attack.connect()
    client.send(upgrade(OFFER, target=path.encode()))
    status, fields, _ = client.response()
    assert status == 101
    assert fields["sec-websocket-extensions"].startswith("permessage-deflate")
    return client


def declined(row: str, *offers: bytes) -> None:
    """The client gets its WebSocket, without the extension; a compressed message is then a violation."""

    def run(attack: Attack) -> None:
        client = attack.connect()
        client.send(upgrade(*(EXTENSIONS + offer for offer in offers), target=b"/deflate/echo"))
        status, fields, _ = client.response()
        assert status == 101
        assert "sec-websocket-extensions" not in fields
        client.echo()
        client.send(compressed(TEXT, compress(b"Hello")))
        assert client.close_code() == 1002
        client.ends()

    in_rows(CASES, row, outcome="closed 1002")(run)


def violation(code: int, row: str, *frames: bytes, memory: int = 8 * MIB) -> None:
    """The server answers these frames with this code, on a connection with compression."""

    def run(attack: Attack) -> None:
        client = connect(attack)
        client.send(*frames)
        assert client.close_code() == code
        client.ends()

    in_rows(CASES, row, outcome=f"closed {code}", memory=memory)(run)


declined("H4 window bits that are no number", b"permessage-deflate; client_max_window_bits=abc")
declined("H5 window of 8 bits", b"permessage-deflate; server_max_window_bits=8")
declined("H5 window of 99 bits", b"permessage-deflate; client_max_window_bits=99")
declined("H5 window of -9 bits", b"permessage-deflate; client_max_window_bits=-9")
declined("H5 server window without bits", b"permessage-deflate; server_max_window_bits")
declined("H5 parameter twice", b"permessage-deflate; client_max_window_bits; client_max_window_bits=10")
declined("H5 takeover with a value", b"permessage-deflate; server_no_context_takeover=1")
declined("H5 constructor", b"permessage-deflate; constructor")
declined("H5 __proto__", b"permessage-deflate; __proto__=1")
declined("H5 garbage", b";;=,")
declined("H5 garbage behind an offer", b"permessage-deflate; client_max_window_bits=")
declined("H5 thousands of offers", b", ".join([b"permessage-deflate; x"] * 600))
declined("H5 another extension", b"x-webkit-deflate-frame")

HELLO = compress(b"Hello, hello, hello")
violation(1002, "F5 compressed ping", compressed(PING, b"x"))
violation(1002, "F5 compressed continuation", compressed(TEXT, HELLO[:3], fin=False), compressed(0, HELLO[3:]))
violation(1002, "F5 another reserved bit", client_frame(TEXT, HELLO, reserved=RSV1 | 1))
violation(1002, "F8 compressed text inside a plain message", client_frame(TEXT, b"a", fin=False), compressed(1, HELLO))
violation(1002, "F8 plain text inside a compressed message", compressed(1, HELLO[:3], fin=False), client_text("a"))
violation(1007, "F9 inflates to what is no UTF-8", compressed(TEXT, compress(b"abc\xff")))
violation(1007, "N41 cannot be inflated", compressed(TEXT, b"\xff" * 20))
violation(1007, "N41 refers to what never was", compressed(TEXT, bytes.fromhex("f200110000")))

BOMB = compress(bytes(200 * MIB))
violation(1009, "F17 200 MiB in a frame", compressed(BINARY, BOMB), memory=3 * MIB)
violation(1009, "F17 one byte too many", compressed(BINARY, compress(bytes(MIB + 1))), memory=3 * MIB)
violation(
    1009,
    "F18 bomb in 16 fragments",
    compressed(BINARY, BOMB[: 12 * KIB], fin=False),
    *[
        client_frame(0, BOMB[at : at + 12 * KIB], fin=False, mask=NO_MASK)
        for at in range(12 * KIB, 192 * KIB, 12 * KIB)
    ],
    memory=3 * MIB,
)


@in_rows(CASES, "F17 messages of 1 MiB, 64 in one segment", outcome="closed 1000")
def many_bombs(attack: Attack) -> None:
    """Each is within the limit, and all of them together are not more than one that is large."""
    client = connect(attack, "/deflate/sink")
    message = compressed(BINARY, compress(bytes(MIB)))
    client.send(message * 64, client_text("how much?"))
    assert client.frame() == (TEXT, b"64 %d" % (64 * MIB))
    client.close()


@in_rows(CASES, "F17 messages of 1 MiB that nobody takes", outcome="closed 1006")
def many_bombs_for_nobody(attack: Attack) -> None:
    """What waits is counted as it is in memory, not as it was on the wire."""
    client = connect(attack, "/deflate/hang")
    client.send(compressed(BINARY, compress(bytes(MIB))) * 64)
    client.reset()


@in_rows(CASES, "N42 last block behind 64 KiB", outcome="closed 1000")
def last_block(attack: Attack) -> None:
    """A stream that says that it ends, behind more than is inflated at a time."""
    client = connect(attack)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    payload = compressor.compress(bytes(100_000)) + compressor.flush(zlib.Z_FINISH) + b"\0"
    client.send(compressed(BINARY, payload), client_close(1000))
    opcode, echo = client.frame(RSV1)
    assert opcode == BINARY
    assert zlib.decompressobj(-15).decompress(echo + b"\x00\x00\xff\xff") == bytes(100_000)
    assert client.close_code() == 1000
    client.ends()


@in_rows(CASES, "N43 100,000 messages of nothing, compressed", outcome="closed 1000")
def empty_messages(attack: Attack) -> None:
    client = connect(attack, "/deflate/sink")
    client.send(compressed(BINARY, b"\0") * 100_000, client_text("how much?"))
    assert client.frame() == (TEXT, b"100000 0")
    client.close()


CLIENTS = 200


@in_rows(
    CASES, "F20 200 clients with the largest windows", outcomes={"closed 1000": CLIENTS}, memory=CLIENTS * 24 * KIB
)
def many_windows(attack: Attack) -> None:
    """Without context takeover, which is the default, a connection keeps no window."""
    clients = [connect(attack) for _ in range(CLIENTS)]
    message = bytes(range(256)) * 40
    for client in clients:
        client.send(compressed(BINARY, compress(message)))
        opcode, payload = client.frame(RSV1)
        assert opcode == BINARY
        assert zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff") == message
    for client in clients:
        client.close()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_compression(case: Case, server_for: ServerFor) -> None:
    """The row says what the client does; what must hold is the same for all of them."""
    with attacking(server_for(case.limits), case) as attack:
        case.run(attack)
