"""How connections end: resets, half-closes, closes without an answer, and handlers that fail, hang or go on."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.bad_input.attack import KIB, Attack, Case, Cases, attacking, in_rows
from tests.bad_input.conftest import ServerFor
from tests.bad_input.server import ENDS
from tests.server.builders import client_close, client_frame, client_text

CASES: Cases = []

# A client that does not read, or does not answer, is cut off soon.
HASTY = {"write_timeout": 0.4, "close_timeout": 0.4}
NO_MASK = bytes(4)  # what is large is not masked byte by byte here
TEXT, BINARY, CLOSE = 1, 2, 8


@in_rows(CASES, "F30 reset in a frame", outcome="closed 1006")
def reset_in_frame(attack: Attack) -> None:
    client = attack.connect().upgrade()
    client.echo()
    client.send(client_text("half of it")[:8])
    client.reset()


def disconnects(*codes: int) -> Any:
    def verify(attack: Attack) -> None:
        assert attack.after.notes == [f"disconnect {code}" for code in codes]

    return verify


@in_rows(CASES, "F30 end without a close", outcome="closed 1006", verify=disconnects(1006))
def end_without_close(attack: Attack) -> None:
    client = attack.connect().upgrade()
    client.echo()
    client.leave()


@in_rows(CASES, "F30 end right behind a close", outcome="closed 1000", verify=disconnects(1000))
def end_behind_close(attack: Attack) -> None:
    client = attack.connect().upgrade()
    client.send(client_text("last"), client_close(1000))
    client.leave()


@in_rows(CASES, "F30 half-close behind a close", outcome="closed 4000", verify=disconnects(4000))
def half_close_behind_close(attack: Attack) -> None:
    client = attack.connect().upgrade()
    client.send(client_close(4000))
    client.socket.shutdown(socket.SHUT_WR)
    assert client.close_code() == 4000
    client.ends()


@in_rows(CASES, "F30 half-close behind a message and a close", outcome="closed 4000", verify=disconnects(4000))
def half_close_behind_message_and_close(attack: Attack) -> None:
    """The message was sent before, and the client still reads what becomes of it."""
    client = attack.connect().upgrade()
    client.send(client_text("last"), client_close(4000))
    client.socket.shutdown(socket.SHUT_WR)
    assert client.frame() == (TEXT, b"last")
    assert client.close_code() == 4000
    client.ends()


@in_rows(CASES, "F30 half-close without a close", outcome="closed 1006", verify=disconnects(1006))
def half_close(attack: Attack) -> None:
    """Without a close frame the end of its side is the end."""
    client = attack.connect().upgrade()
    client.echo()
    client.socket.shutdown(socket.SHUT_WR)
    client.rest()


def failed_once(attack: Attack) -> None:
    (line,) = [line for line in attack.after.log if line["level"] > 20]
    assert line["text"].startswith("ERROR wsframework")
    assert line["error"] == "LookupError('the password is swordfish')"


@in_rows(CASES, "F31 handler that raises", outcome="closed 1011", may_log=True, verify=failed_once)
def handler_raises(attack: Attack) -> None:
    """The client is not told what went wrong, only that something did."""
    client = attack.connect().upgrade("/raise")
    client.send(client_text("go"))
    assert client.frame() == (CLOSE, (1011).to_bytes(2, "big"))
    client.send(client_close(1011))
    client.ends()


@in_rows(CASES, "F31 handler that is cancelled", outcome="closed 1000")
def handler_cancelled(attack: Attack) -> None:
    client = attack.connect().upgrade("/cancel")
    client.send(client_text("go"))
    assert client.frame() == (TEXT, b"still here")
    client.close()


@in_rows(CASES, "F31 handler that never returns", outcome="closed 1000")
def handler_hangs(attack: Attack) -> None:
    """Its client may leave: the handler has a moment, and is cancelled."""
    client = attack.connect().upgrade("/hang")
    client.send(client_text("go"), client_close(1000))
    assert client.close_code() == 1000
    client.ends()


@in_rows(CASES, "F31 handler that goes on when it is cancelled", outcome="closed 1006")
def handler_swallows(attack: Attack) -> None:
    client = attack.connect().upgrade("/swallow")
    client.send(client_text("go"))
    client.reset()


@in_rows(CASES, "F31 handler that hangs, and a flood for it", outcome="closed 1006", limits=HASTY)
def flood_for_a_handler_that_hangs(attack: Attack) -> None:
    """What nobody takes out of the inbox is not read from the socket."""
    client = attack.connect().upgrade("/hang")
    client.socket.settimeout(0.2)
    frame = client_frame(BINARY, bytes(64 * KIB), mask=NO_MASK)
    with pytest.raises(TimeoutError):
        for _ in range(1024):
            client.socket.sendall(frame)
    client.reset()


def told_of(word: str) -> Any:
    def verify(attack: Attack) -> None:
        (note,) = attack.after.notes
        assert word in note

    return verify


for how, word in dict.fromkeys(ENDS, "ValueError: close code").items():
    word = {"reason-is-no-text": "TypeError"}.get(how, "123 bytes" if how.startswith("long") else word)

    @in_rows(CASES, f"F32 {how}", outcome="closed 1000", verify=told_of(word))
    def wrong_end(attack: Attack, how: str = how) -> None:
        """The application is told, and nothing of it is on the wire."""
        client = attack.connect().upgrade(f"/end/{how}")
        client.send(client_text("go"))
        assert client.frame() == (CLOSE, (1000).to_bytes(2, "big"))
        client.send(client_close(1000))
        client.ends()


@in_rows(CASES, "F33 sends behind the end, reset", outcome="closed 1006", verify=told_of("told of 1006"))
def sends_behind_reset(attack: Attack) -> None:
    client = attack.connect().upgrade("/talk")
    client.frame()
    client.reset()


@in_rows(CASES, "F33 sends behind the end, close", outcome="closed 1001", verify=told_of("told of 1001"))
def sends_behind_close(attack: Attack) -> None:
    client = attack.connect().upgrade("/talk")
    client.frame()
    client.send(client_close(1001))
    while (frame := client.frame())[0] == TEXT:
        pass
    assert frame == (CLOSE, (1001).to_bytes(2, "big"))
    client.ends()


@in_rows(CASES, "N33 close in single bytes", outcome="closed 1000")
def close_in_single_bytes(attack: Attack) -> None:
    client = attack.connect().upgrade()
    client.dribble(client_close(1000, "x" * 123))
    assert client.close_code() == 1000
    client.ends()


@in_rows(CASES, "N36 client that never closes its side", outcome="closed 1000", limits=HASTY)
def never_closes_its_side(attack: Attack) -> None:
    """Behind both close frames the server waits for the client to go, for as long as its limit says."""
    client = attack.connect().upgrade()
    client.send(client_close(1000))
    assert client.close_code() == 1000
    attack.wait_until_over()


@in_rows(CASES, "N37 client that never answers our close", outcome="closed 1011", limits=HASTY, may_log=True)
def never_answers_our_close(attack: Attack) -> None:
    client = attack.connect().upgrade("/raise")
    client.send(client_text("go"))
    assert client.close_code() == 1011
    attack.wait_until_over()


@in_rows(CASES, "N38 200 clients that reset at once", outcomes={"closed 1006": 200})
def reset_storm(attack: Attack) -> None:
    clients = [attack.connect().upgrade() for _ in range(200)]
    for client in clients:
        client.reset()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_ends(case: Case, server_for: ServerFor) -> None:
    """The row says what the client does; what must hold is the same for all of them."""
    with attacking(server_for(case.limits), case) as attack:
        case.run(attack)
