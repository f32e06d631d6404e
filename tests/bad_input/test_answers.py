"""What applications get wrong: answers that must not travel, and state that clients might share."""

from __future__ import annotations

import pytest

from tests.bad_input.attack import Attack, Case, Cases, attacking, in_rows
from tests.bad_input.conftest import ServerFor
from tests.bad_input.server import ANSWERS
from tests.server.builders import client_text, upgrade

CASES: Cases = []


def wrong_answer(what: str, told: str) -> None:
    """The application gets a ValueError, and nothing of its answer is on the wire."""

    def run(attack: Attack) -> None:
        client = attack.connect()
        client.send(upgrade(b"Sec-WebSocket-Protocol: chat", target=b"/answer/" + what.encode()))
        status, fields, _ = client.response()
        assert status == 403
        assert not {"x-name", "set-cookie", "x"} & set(fields)
        client.ends()

    def verify(attack: Attack) -> None:
        (note,) = attack.after.notes
        assert note.startswith("ValueError: ")
        assert told in note

    row = "H36" if what.startswith("subprotocol") else "H35"
    in_rows(CASES, f"{row} {what}", outcome="refused 403", verify=verify)(run)


for what in ANSWERS:
    wrong_answer(what, "not offered" if what.startswith("subprotocol") else "")


def told_of_line_ends(attack: Attack) -> None:
    (note,) = attack.after.notes
    assert "CR, LF or NUL" in note


@in_rows(CASES, "H35 line end in a refusal", outcome="refused 403", verify=told_of_line_ends)
def wrong_refusal(attack: Attack) -> None:
    client = attack.connect()
    client.send(upgrade(target=b"/refuse-with"))
    status, fields, _ = client.response()
    assert status == 403
    assert not {"x-reason", "set-cookie"} & set(fields)
    client.ends()


@in_rows(CASES, "H41 two clients and what they might share", outcomes={"closed 1000": 2})
def shared_state(attack: Attack) -> None:
    clients = {word: attack.connect() for word in ("one", "two")}
    for client in clients.values():
        client.send(upgrade(target=b"/remember"))
    for client in clients.values():
        assert client.response()[0] == 101
    for _ in range(2):
        for word, client in clients.items():
            client.send(client_text(word))
        for word, client in clients.items():
            assert client.frame() == (1, f'["{word}","{word}",["{word}"]]'.encode())
    for client in clients.values():
        client.close()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_answers(case: Case, server_for: ServerFor) -> None:
    """The row says what the client does; what must hold is the same for all of them."""
    with attacking(server_for(case.limits), case) as attack:
        case.run(attack)
