"""What clients leave behind: a few seconds of the soak, and that it would see it."""

import re
import sys

import pytest

from benchmarks.soak.balance import EXACT, compare, is_settled
from benchmarks.soak.client import OrderError, Stream
from tests.programs import run_python

STATE = dict.fromkeys(EXACT, 3) | {"objects": 100_000, "memory": 40 * 1024 * 1024}


@pytest.mark.skipif(sys.platform != "linux", reason="the soak needs Linux")
def test_nothing_stays_of_clients_that_come_stall_resume_and_vanish() -> None:
    """After the last one has gone, tasks, subscriptions, topics, presence and descriptors are what they were."""
    done = run_python("-m", "benchmarks.soak", "--seconds", "4", "--clients", "40", patience=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything is back." in done.stdout
    [accepted] = re.findall(r"server: ([\d,]+) accepted", done.stdout)
    assert int(accepted.replace(",", "")) >= 20  # so there was something that could have stayed


@pytest.mark.parametrize("name", ["tasks", "subscriptions", "topics", "present", "descriptors", "objects", "memory"])
def test_what_stays_is_seen(name: str) -> None:
    """One task, subscription or descriptor too many is a failure; so is more memory than allowed."""
    after = STATE | {name: STATE[name] + (1 if STATE[name] == 3 else STATE[name])}
    assert [line.name for line in compare(STATE, STATE, after) if not line.is_back] == [name]
    assert is_settled(STATE, after) == (name in ("objects", "memory"))
    assert all(line.is_back for line in compare(STATE, STATE, STATE))


def take(stream: Stream, *messages: tuple[str, int] | tuple[str, int, int | None]) -> None:
    for epoch, offset, *gap in messages:
        stream.take({"topic": "a", "epoch": epoch, "offset": offset} | ({"gap": gap[0]} if gap else {}))


def test_clients_know_what_is_due() -> None:
    """Each offset once, in order; a gap where some are missing; a new epoch begins anywhere."""
    take(Stream(), ("x", 7), ("x", 8), ("x", 8, 3), ("x", 12), ("y", 1), ("y", 2), ("y", 2, None), ("y", 40), ("y", 41))


@pytest.mark.parametrize("second", [7, 6, 9], ids=["twice", "backwards", "missing"])
def test_clients_say_what_is_wrong(second: int) -> None:
    """Something that comes twice, goes backwards or is missing without a word is an error, but in a conflated room."""
    with pytest.raises(OrderError, match=f"offset {second} came where 8 was due"):
        take(Stream(), ("x", 7), ("x", second))
    take(Stream(strict=False), ("x", 7), ("x", second))
