"""The policies for a full mailbox: what the slow client gets, the others, the publisher, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.hub.fakes import stage
from tests.hub.rooms import FROZEN, NARROW, Room, numbers
from wsframework import CloseCode, Hub, Overflow


@attrs.frozen
class Case:
    """Six messages for a client that is behind from the first one on, which is on its way already.

    Attributes:
        gets: what the slow client has got when it has resumed.
        others_get: what those get who keep up.
        receipts: what the publisher learns: delivered (to the other one), queued, dropped, disconnected; or that it
            would have to wait.
        dropped: what is counted, in the hub and in the topic, by policy; so are ``conflated`` and ``disconnected``.
        close_code: with which the slow client is cut off.
    """

    overflow: Overflow
    gets: list[str]
    others_get: list[str]
    receipts: list[tuple[int, int, int, int] | type[trio.WouldBlock]]
    dropped: int = 0
    conflated: int = 0
    disconnected: int = 0
    close_code: int | None = None


ALL = ["m0", "m1", "m2", "m3", "m4", "m5"]
CASES = [
    Case(
        Overflow.DISCONNECT,
        gets=["m0"],
        others_get=ALL,
        receipts=[(1, 1, 0, 0)] * 4 + [(1, 0, 4, 1), (1, 0, 0, 0)],
        dropped=4,
        disconnected=1,
        close_code=CloseCode.TRY_AGAIN_LATER,
    ),
    Case(
        Overflow.DROP_OLDEST,
        gets=["m0", "m3", "m4", "m5"],
        others_get=ALL,
        receipts=[(1, 1, 0, 0)] * 4 + [(1, 1, 1, 0)] * 2,
        dropped=2,
    ),
    Case(
        Overflow.DROP_NEWEST,
        gets=["m0", "m1", "m2", "m3"],
        others_get=ALL,
        receipts=[(1, 1, 0, 0)] * 4 + [(1, 0, 1, 0)] * 2,
        dropped=2,
    ),
    Case(
        Overflow.LATEST,
        gets=["m0", "m5"],
        others_get=ALL,
        receipts=[(1, 1, 0, 0)] * 6,
        conflated=4,
    ),
    Case(
        Overflow.BLOCK,
        gets=["m0", "m1", "m2", "m3"],
        others_get=["m0", "m1", "m2", "m3"],
        receipts=[(1, 1, 0, 0)] * 4 + [trio.WouldBlock] * 2,
    ),
]
BOUNDS: list[dict[str, int]] = [{"capacity": 3}, {"capacity": 1000, "max_bytes": 7}]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.overflow.name)
@pytest.mark.parametrize("bounds", BOUNDS, ids=["by messages", "by bytes"])
@pytest.mark.parametrize("at_once", [False, True], ids=["tick by tick", "in one tick"])
async def test_what_a_policy_does(case: Case, bounds: dict[str, int], at_once: bool) -> None:
    """Each policy, met by number and by size, one message per tick or all of them in one."""
    async with stage(overflow=case.overflow, **bounds) as here:
        slow, other = await here.enter("news"), await here.enter("news")
        slow.stall()
        receipts, learned = [], []
        for message in ALL:
            try:
                receipts.append(here.hub.broadcast_nowait("news", message))
            except trio.WouldBlock:
                learned.append(trio.WouldBlock)
            if not at_once or message == "m0":
                repr(receipts[-1])
        assert [*map(numbers, receipts), *learned] == case.receipts
        assert sum(receipt.dropped for receipt in receipts) == case.dropped
        assert sum(receipt.conflated for receipt in receipts) == case.conflated
        for statistics in (here.hub.statistics(), here.hub.statistics("news")):
            assert statistics.published == len(case.others_get)
            assert (statistics.dropped, statistics.disconnected) == (case.dropped, case.disconnected)
            assert statistics.dropped_by == ({case.overflow: case.dropped} if case.dropped else {})
            assert statistics.conflated == case.conflated
            assert statistics.waiting == len(case.gets) - 1
            assert statistics.waiting_bytes == 2 * statistics.waiting
            assert statistics.behind == 1
        assert slow.close_code == case.close_code
        slow.resume()
        assert slow.got == case.gets
        assert other.got == case.others_get
        assert here.hub.statistics().waiting_bytes == 0
        assert here.hub.broadcast_nowait("news", "m6").delivered == (1 if case.close_code else 2)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.overflow.name)
async def test_what_a_policy_leaves_of_one_who_vanishes(case: Case) -> None:
    """A client that never comes back: the same is counted up to then, nothing of it stays, and the others go on."""
    async with stage(overflow=case.overflow, capacity=3) as here:
        slow, other = await here.enter("news"), await here.enter("news")
        slow.stall()
        for message in case.others_get:
            repr(here.hub.broadcast_nowait("news", message))
        slow.leave()
        statistics = here.hub.statistics()
        assert (statistics.subscribers, statistics.waiting, statistics.waiting_bytes) == (1, 0, 0)
        assert (statistics.dropped, statistics.disconnected) == (case.dropped, case.disconnected)
        assert numbers(here.hub.broadcast_nowait("news", "m6")) == (1, 0, 0, 0)
        assert other.got == [*case.others_get, "m6"]


@pytest.mark.parametrize("case", CASES[:-1], ids=lambda case: case.overflow.name)  # `broadcast` would wait with BLOCK
async def test_what_a_policy_does_over_a_connection(
    make_room: Callable[..., Room], case: Case, autojump_clock: MockClock
) -> None:
    """The same with real frames: a client that stalls and resumes, and another one that is never held up."""
    room = make_room(capacity=3, overflow=case.overflow)
    async with room.join("news", window=NARROW) as slow, room.join("news") as other:
        await slow.freeze()
        receipts = []
        for number in range(6):
            receipts.append(await room.hub.broadcast("news", f"m{number}"))
            assert await other.client.receive() == f"m{number}"
        assert [numbers(receipt) for receipt in receipts] == case.receipts
        slow.client.resume()
        assert await slow.receive_rest() == [FROZEN, *case.gets]
        if case.close_code is not None:
            end = await slow.client.wait_closed()
            assert (end.code, end.reason) == (case.close_code, slow.websocket.close_reason)
            assert "too slow" in end.reason
        else:
            await room.hub.broadcast("news", "m6")
            assert await slow.client.receive() == "m6"


async def test_disconnect_ends_the_session_of_a_frozen_client(
    make_room: Callable[..., Room], autojump_clock: MockClock
) -> None:
    """The endpoint learns of it at once, as of a client that has left, although the client itself hears nothing."""
    room = make_room(capacity=1)
    async with room.join("news", window=NARROW) as slow, room.join("news") as other:
        await slow.freeze()
        for number in range(3):
            await room.hub.broadcast("news", str(number))
            assert await other.client.receive() == str(number)
        assert slow.websocket.close_code == CloseCode.TRY_AGAIN_LATER
        await trio.sleep(2)
        assert room.hub.statistics().subscribers == 1


@pytest.mark.parametrize(
    ("overflow", "gets", "numbers_", "waiting"),
    [
        (Overflow.DISCONNECT, [], (0, 0, 2, 1), 0),
        (Overflow.DROP_OLDEST, ["small"], (0, 0, 1, 0), 1),
        (Overflow.DROP_NEWEST, ["small"], (0, 0, 1, 0), 1),
        (Overflow.LATEST, ["small"], (0, 0, 1, 0), 1),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_a_message_that_is_bigger_than_all_the_room(
    overflow: Overflow, gets: list[str], numbers_: tuple[int, int, int, int], waiting: int
) -> None:
    """It cannot wait, so it meets the policy itself; nothing that waits is dropped for what would not fit anyway."""
    async with stage(overflow=overflow, max_bytes=10) as here:
        slow = await here.enter("news")
        slow.stall()
        repr(here.hub.broadcast_nowait("news", "on its way"))
        repr(here.hub.broadcast_nowait("news", "small"))
        assert numbers(here.hub.broadcast_nowait("news", "x" * 11)) == numbers_
        assert here.hub.statistics().waiting == waiting
        slow.resume()
        assert slow.got == ["on its way", *gets]


async def test_a_message_that_is_bigger_than_all_the_room_reaches_those_who_keep_up() -> None:
    """max_bytes bounds what waits, and nothing waits for a client that keeps up."""
    async with stage(max_bytes=10) as here:
        ada = await here.enter("news")
        assert numbers(await here.hub.broadcast("news", "x" * 1000)) == (1, 0, 0, 0)
        assert ada.got == ["x" * 1000]


@pytest.mark.parametrize(
    ("message", "size"), [("abc", 3), ("äöü", 6), ("🐎", 4), (b"\x00\xff", 2), ("", 0), ({"a": 1}, 7)]
)
async def test_bytes_are_those_of_the_payload(message: Any, size: int) -> None:
    """Text counts as the UTF-8 that it becomes."""
    async with stage() as here:
        slow = await here.enter("news")
        slow.stall()
        repr(here.hub.broadcast_nowait("news", "on its way"))
        repr(here.hub.broadcast_nowait("news", message))
        assert here.hub.statistics().waiting_bytes == size


async def test_drop_oldest_makes_just_enough_room() -> None:
    """One big message takes the place of as many old ones as it needs, and of no more."""
    async with stage(overflow=Overflow.DROP_OLDEST, max_bytes=10) as here:
        slow = await here.enter("news")
        slow.stall()
        repr(here.hub.broadcast_nowait("news", "on its way"))
        for number in range(5):
            repr(here.hub.broadcast_nowait("news", f"m{number}"))
        assert numbers(here.hub.broadcast_nowait("news", "five!")) == (0, 1, 3, 0)
        slow.resume()
        assert slow.got == ["on its way", "m3", "m4", "five!"]


async def test_a_policy_spares_direct_messages() -> None:
    """What the endpoint itself sends is never dropped, and keeps its place among what was published."""
    async with stage(overflow=Overflow.DROP_OLDEST, capacity=2) as here:
        slow = await here.enter("news")
        slow.stall()
        for number in range(3):
            repr(here.hub.broadcast_nowait("news", f"m{number}"))
        ticket = slow.mailbox.line_up(["direct"])
        for number in range(3, 5):
            repr(here.hub.broadcast_nowait("news", f"m{number}"))
        assert not ticket.taken
        slow.resume()
        assert ticket.taken
        assert slow.got == ["m0", "direct", "m3", "m4"]


@pytest.mark.parametrize("bounds", [{"capacity": 0}, {"capacity": -1}, {"max_bytes": 0}])
def test_a_hub_needs_some_room(bounds: dict[str, int]) -> None:
    """Bounds below one are an error of the programmer."""
    with pytest.raises(ValueError, match="both must be at least 1"):
        Hub(**bounds)


def test_a_policy_is_one_of_the_enumeration() -> None:
    """The name of a policy is no policy; the error lists those that are."""
    with pytest.raises(TypeError, match=r"Overflow\.DROP_OLDEST.*not 'drop_oldest'"):
        Hub(overflow="drop_oldest")  # type: ignore[arg-type]  # that is what the test is about
