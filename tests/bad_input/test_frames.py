"""Bad frames, messages and ends: what a client may do once it has its WebSocket."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from tests.bad_input.attack import KIB, MIB, PATIENCE, Attack, Case, Cases, Client, attacking, in_rows
from tests.bad_input.conftest import ServerFor
from tests.server.builders import (
    MASK,
    client_close,
    client_frame,
    client_header,
    client_text,
    mask_payload,
    server_text,
)

CASES: Cases = []
# A client that does not read, or does not answer, is cut off soon.
HASTY = {"write_timeout": 0.4, "close_timeout": 0.4}
NO_MASK = bytes(4)  # what is large is not masked byte by byte here

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def violation(code: int, row: str, *frames: bytes, before: tuple[int, bytes] | None = None, **options: Any) -> None:
    """The server answers these frames with this code, perhaps an echo before it, and then ends the connection."""

    def run(attack: Attack) -> None:
        client = attack.connect().upgrade()
        client.send(*frames)
        if before is not None:
            assert client.frame() == before
        assert client.close_code() == code
        client.ends()

    in_rows(CASES, row, outcome=f"closed {code}", **options)(run)


def length_of_64_bits(size: int) -> bytes:
    return b"\x82\xff" + size.to_bytes(8, "big") + MASK


ALREADY = client_frame(TEXT, b"begun", fin=False)

violation(1002, "F1 length with the top bit", length_of_64_bits(1 << 63), memory=2 * MIB)
violation(1002, "F1 length of all bits", length_of_64_bits((1 << 64) - 1), memory=2 * MIB)
violation(1009, "F2 length of 2^63-1", length_of_64_bits((1 << 63) - 1), b"xx", memory=2 * MIB)
violation(1009, "F2 length of 1 GiB", length_of_64_bits(1 << 30), b"xx", memory=2 * MIB)
violation(1009, "F2 length of 2^32 behind a message", client_text("a"), length_of_64_bits(1 << 32), before=(1, b"a"))
violation(1002, "F4 frame that is not masked", server_text("hello"))
violation(1002, "F4 close that is not masked", b"\x88\x00")
for bit, name in {4: "RSV1", 2: "RSV2", 1: "RSV3", 7: "all of them"}.items():
    violation(1002, f"F5 {name} on text", client_frame(TEXT, b"x", reserved=bit))
    violation(1002, f"F5 {name} on a ping", client_frame(PING, b"x", reserved=bit))
    violation(1002, f"F5 {name} on a continuation", ALREADY, client_frame(0, b"x", reserved=bit))
for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
    violation(1002, f"F6 opcode {opcode}", client_frame(opcode, b"x"))
violation(1002, "F7 ping of 126 bytes", client_frame(PING, bytes(126)))
violation(1002, "F7 ping of 64 KiB, announced", client_header(PING, 65_536))
violation(1002, "F7 ping in fragments", client_frame(PING, b"a", fin=False), client_frame(0, b"b"))
violation(1002, "F7 close in fragments", client_frame(CLOSE, b"\x03\xe8", fin=False))
violation(1002, "F7 close of 126 bytes", client_frame(CLOSE, b"\x03\xe8" + bytes(124)))
violation(1002, "F8 continuation first", client_frame(0, b"x"))
violation(1002, "F8 continuation behind a whole message", client_text("a"), client_frame(0, b"x"), before=(1, b"a"))
violation(1002, "F8 text inside a message", ALREADY, client_text("b"))
violation(1002, "F8 binary inside a message", ALREADY, client_frame(BINARY, b"b"))
violation(1007, "F9 byte that is no UTF-8", client_frame(TEXT, b"a\xffb"))
violation(1007, "F9 lone surrogate", client_frame(TEXT, b"\xed\xa0\x80"))
violation(1007, "F9 overlong", client_frame(TEXT, b"\xc0\xaf"))
violation(1007, "F9 above the last character", client_frame(TEXT, b"\xf4\x90\x80\x80"))
violation(1007, "F9 cut off in a character", client_frame(TEXT, b"\xf0\x9f\x98"))
violation(1007, "F9 cut across frames", client_frame(TEXT, b"\xf0\x9f", fin=False), client_frame(0, b"xx"))
violation(1007, "F9 message never finished", client_frame(TEXT, b"\xff", fin=False))
violation(1007, "F9 frame never finished", client_header(TEXT, 1000), mask_payload(b"abc\xff"))
violation(1007, "F9 reason of a close", client_frame(CLOSE, b"\x03\xe8\xff"))
violation(1007, "F9 reason cut off in a character", client_frame(CLOSE, b"\x03\xe8\xf0\x9f"))
violation(1002, "F10 close of one byte", client_frame(CLOSE, b"\x03"))
for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535):
    violation(1002, f"F10 code {code}", client_close(code))
violation(1009, "F12 40 MiB in a frame", client_header(BINARY, 40 * MIB), bytes(40 * MIB), memory=2 * MIB)
violation(1009, "F12 one byte too many", client_header(BINARY, MIB + 1), memory=2 * MIB)
violation(
    1009,
    "F13 fragments that never end",
    client_frame(BINARY, bytes(64 * KIB), fin=False, mask=NO_MASK),
    client_frame(0, bytes(64 * KIB), fin=False, mask=NO_MASK) * 1000,
    limits=HASTY,
)
violation(1009, "F13 fragments of nothing", client_frame(BINARY, fin=False), client_frame(0, fin=False) * 100_000)
violation(1002, "N30 length of 16 bits where 7 would do", b"\x82\xfe\x00\x05" + MASK + bytes(5))
violation(1002, "N30 length of 64 bits where 16 would do", length_of_64_bits(65_535))


@in_rows(CASES, "F11 frames behind a close", outcome="closed 1000")
def behind_close(attack: Attack) -> None:
    """They are ignored, and the close is answered once."""
    client = attack.connect().upgrade()
    late = client_text("late") + client_frame(PING, b"late") + client_close(1001) + b"\xff\xff\xff"
    client.send(client_close(1000, "bye"), late)
    assert client.close_code() == 1000
    client.send(late)
    client.ends()


@in_rows(CASES, "F11 frames behind a violation", outcome="closed 1002")
def behind_violation(attack: Attack) -> None:
    client = attack.connect().upgrade()
    client.send(client_frame(3), client_text("late"), client_close(1000))
    assert client.close_code() == 1002
    client.ends()


@in_rows(CASES, "F12 answer comes before the payload", outcome="closed 1009", memory=2 * MIB)
def before_the_payload(attack: Attack) -> None:
    """The header alone is refused, in no time."""
    client = attack.connect().upgrade()
    busy = attack.server.busy()
    client.send(client_header(BINARY, 40 * MIB))
    assert client.close_code() == 1009
    assert attack.server.busy() - busy < 0.05
    client.ends()


@in_rows(CASES, "F13 fragments that never end, and a client that never closes", outcome="closed 1009", limits=HASTY)
def never_closes(attack: Attack) -> None:
    """Behind the answer everything is thrown away; when the client's time is over it gets a reset."""
    client = attack.connect().upgrade()
    client.send(client_frame(BINARY, bytes(64 * KIB), fin=False, mask=NO_MASK))
    more = client_frame(0, bytes(64 * KIB), fin=False, mask=NO_MASK)
    end = time.monotonic() + PATIENCE
    with pytest.raises(ConnectionError):
        while time.monotonic() < end:
            client.socket.sendall(more * 16)


@in_rows(CASES, "F16 frame of 1 MiB in small segments", outcome="closed 1000", memory=4 * MIB)
def small_segments(attack: Attack) -> None:
    """One buffer takes it, however it comes. Single bytes would take minutes; these are coalesced less and less."""
    client = attack.connect().upgrade("/sink")
    frame = client_frame(BINARY, bytes(MIB), mask=NO_MASK)
    client.dribble(frame[:5000])
    client.dribble(frame[5000:40_000], 7)
    client.dribble(frame[40_000:], 509)
    client.send(client_text("how much?"))
    assert client.frame() == (TEXT, b"1 %d" % MIB)
    client.close()


@in_rows(CASES, "F21 flood of pings that are not read", outcome="closed 1006", limits=HASTY)
def ping_flood(attack: Attack) -> None:
    """Of the pongs that have no room only the last waits; the client is cut off for not reading."""
    client = attack.connect(receive_buffer=4096).upgrade()
    begin = time.monotonic()
    flood(client, client_frame(PING, bytes(125), mask=NO_MASK), 64 * MIB)
    assert time.monotonic() - begin < PATIENCE


@in_rows(CASES, "F21 flood of pings that are read", outcome="closed 1000")
def ping_flood_that_is_read(attack: Attack) -> None:
    client = attack.connect().upgrade()
    for number in range(20):
        client.send(client_frame(PING, b"%d" % number, mask=NO_MASK) * 2000)
        for _ in range(2000):
            assert client.frame() == (PONG, b"%d" % number)
    client.close()


@in_rows(CASES, "F23 echoes that are not read", outcome="closed 1006", limits=HASTY)
def echoes_not_read(attack: Attack) -> None:
    """Its own echoes hold it up, then nothing more is read of it, and at the write timeout it is cut off."""
    client = attack.connect(receive_buffer=4096).upgrade()
    begin = time.monotonic()
    flood(client, client_frame(BINARY, bytes(64 * KIB), mask=NO_MASK), 64 * MIB)
    assert time.monotonic() - begin < PATIENCE


def flood(client: Client, frame: bytes, size: int) -> None:
    """Send so much of this without reading; the server must not take all of it."""
    many = frame * max(1, 256 * KIB // len(frame))
    sent = 0
    try:
        while sent < size:
            client.socket.sendall(many)
            sent += len(many)
    except ConnectionError:
        return
    pytest.fail(f"{size} bytes were taken")


# More


@in_rows(CASES, "N31 100,000 messages of nothing", outcome="closed 1000")
def empty_messages(attack: Attack) -> None:
    client = attack.connect().upgrade("/sink")
    client.send(client_frame(BINARY, mask=NO_MASK) * 100_000, client_text("how much?"))
    assert client.frame() == (TEXT, b"100000 0")
    client.close()


@in_rows(CASES, "N31 100,000 messages of two bytes that nobody takes", outcome="closed 1006")
def tiny_messages(attack: Attack) -> None:
    """Tiny messages cost more in the inbox than on the wire: their number is bounded."""
    client = attack.connect().upgrade("/hang")
    client.socket.settimeout(0.2)
    try:
        client.socket.sendall(client_frame(TEXT, b"ab", mask=NO_MASK) * 1_000_000)
    except TimeoutError:
        pass
    else:
        pytest.fail("all of it was taken")
    client.reset()


@in_rows(CASES, "N32 pings between fragments", outcome="closed 1000")
def pings_between_fragments(attack: Attack) -> None:
    client = attack.connect().upgrade()
    client.send(client_frame(TEXT, b"", fin=False))
    for _ in range(10):
        client.send(
            (client_frame(PING, b"p", mask=NO_MASK) * 20 + client_frame(0, b"x", fin=False, mask=NO_MASK)) * 100
        )
        for _ in range(2000):
            assert client.frame() == (PONG, b"p")
    client.send(client_frame(0))
    assert client.frame() == (TEXT, b"x" * 1000)
    client.close()


@in_rows(CASES, "N34 text of 1 MiB cut in its characters", outcome="closed 1000")
def characters_cut(attack: Attack) -> None:
    """Characters of four bytes, cut by fragments and by segments."""
    text = "\U0001f600".encode() * (MIB // 4)
    fragments = [text[at : at + 1021] for at in range(0, len(text), 1021)]
    frames = [
        client_frame(TEXT if not at else 0, part, fin=at == len(fragments) - 1, mask=NO_MASK)
        for at, part in enumerate(fragments)
    ]
    client = attack.connect().upgrade()
    client.dribble(b"".join(frames), 4999)
    assert client.frame() == (TEXT, text)
    client.close()


@in_rows(CASES, "N35 200,000 pongs that nobody asked for", outcome="closed 1000")
def pongs(attack: Attack) -> None:
    client = attack.connect().upgrade()
    client.send(client_frame(PONG, b"?", mask=NO_MASK) * 200_000)
    client.echo()
    client.close()


@in_rows(CASES, "N39 urgent byte", outcome="closed 1000")
def urgent_byte(attack: Attack) -> None:
    """TCP's out-of-band data is not part of the stream, and wakes nobody for ever."""
    client = attack.connect().upgrade()
    client.socket.send(b"!", socket.MSG_OOB)
    begin, busy = time.monotonic(), attack.server.busy()
    time.sleep(0.1)
    # The bystander's echoes take their part, all the longer as we are not woken up in time.
    assert attack.server.busy() - busy < 0.6 * (time.monotonic() - begin)
    client.echo()
    client.close()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_frames(case: Case, server_for: ServerFor) -> None:
    """The row says what the client does; what must hold is the same for all of them."""
    with attacking(server_for(case.limits), case) as attack:
        case.run(attack)
