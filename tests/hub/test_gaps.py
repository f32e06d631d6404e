"""Nothing is dropped in silence: on_gap is called at the place in the client's stream where something is missing."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.hub.fakes import stage, tell
from wsframework import CloseCode, Gap, Overflow


@attrs.frozen
class Case:
    """What a client with room for two messages gets of those that are published while it is behind."""

    overflow: Overflow
    published: int
    gets: list[str]


CASES = [
    Case(Overflow.DROP_OLDEST, 3, ["1", "2", "3"]),
    Case(Overflow.DROP_OLDEST, 4, ["1", "[1 after 1]", "3", "4"]),
    Case(Overflow.DROP_OLDEST, 9, ["1", "[6 after 1]", "8", "9"]),
    Case(Overflow.DROP_NEWEST, 3, ["1", "2", "3"]),
    Case(Overflow.DROP_NEWEST, 4, ["1", "2", "3", "[1 after 3]"]),
    Case(Overflow.DROP_NEWEST, 9, ["1", "2", "3", "[6 after 3]"]),
    Case(Overflow.LATEST, 9, ["1", "9"]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.overflow.name}-{case.published}")
async def test_where_a_gap_is_told(case: Case) -> None:
    """Before what follows it, or at the end when nothing does; conflation is no gap."""
    async with stage(overflow=case.overflow, capacity=2) as here:
        ada = await here.enter("a", on_gap=tell)
        ada.stall()
        here.publish("a", *map(str, range(1, case.published + 1)))
        ada.resume()
        assert ada.got == case.gets
        here.publish("a", "next")
        assert ada.got == [*case.gets, "next"]


async def test_a_gap_between_what_waits_is_told_between() -> None:
    """What DROP_NEWEST dropped is missing before the next one that found room."""
    async with stage(overflow=Overflow.DROP_NEWEST, capacity=2) as here:
        ada = await here.enter("a", on_gap=tell)
        ada.stall()
        here.publish("a", "x" * 70_000, "y" * 70_000, "3", "4", "5")
        ada.resume(room=1)
        here.publish("a", "6", "7")
        ada.resume()
        assert [message[:20] for message in ada.got[2:]] == ["3", "[2 after 3]", "6", "[1 after 6]"]
        assert here.hub.statistics("a").dropped == 3


async def test_a_gap_is_told_to_the_subscription_that_has_it() -> None:
    """In a lane that two share, each is told of its own, before its own next message."""
    async with stage(overflow=Overflow.DROP_OLDEST, capacity=3) as here:
        ada = await here.enter()
        for topic in "ab":
            await here.hub.subscribe(ada.websocket, topic, on_gap=lambda gap, topic=topic: topic + tell(gap))
        ada.stall()
        here.publish("a", "a1", "a2", "a3")
        here.publish("b", "b1", "b2", "b3")
        ada.resume()
        assert ada.got == ["a1", "b1", "b2", "b3", "a[2 after 1]"]


async def test_a_message_that_never_fits_is_a_gap() -> None:
    """A gap with nothing around it is told when the client has caught up."""
    async with stage(overflow=Overflow.DROP_OLDEST, max_bytes=10) as here:
        ada = await here.enter("a", on_gap=tell)
        ada.stall()
        here.publish("a", "1", "x" * 11, "y" * 11)
        assert not ada.mailbox.catch_up()  # a direct message must not overtake the news of it
        ada.resume()
        assert ada.got == ["1", "[2 after 1]"]


async def test_a_gap_may_be_told_to_the_program_only() -> None:
    """What on_gap returns is sent, unless it is None."""
    gaps: list[Gap] = []
    async with stage(overflow=Overflow.DROP_OLDEST, capacity=1) as here:
        ada = await here.enter("a")
        subscription = await here.hub.subscribe(ada.websocket, "a")
        assert subscription.on_gap is None
        subscription.on_gap = gaps.append
        ada.stall()
        here.publish("a", "1", "2", "3")
        assert (subscription.position.offset, gaps) == (1, [])
        ada.resume()
        assert ada.got == ["1", "3"]
        assert [(gap.count, gap.since.offset) for gap in gaps] == [(1, 1)]
        assert subscription.position.offset == 3
        assert gaps[0].since.epoch == subscription.position.epoch


async def test_what_on_gap_returns_is_made_a_message_like_any_other() -> None:
    """A value becomes JSON."""
    async with stage(overflow=Overflow.DROP_OLDEST, capacity=1) as here:
        ada = await here.enter("a", on_gap=lambda gap: {"missed": gap.count})
        ada.stall()
        here.publish("a", "1", "2", "3")
        ada.resume()
        assert ada.got == ["1", '{"missed":1}', "3"]


async def test_on_gap_that_raises_ends_its_own_connection(caplog: pytest.LogCaptureFixture) -> None:
    """It is the program's error: it is logged, that client is closed with 1011, and the others notice nothing."""

    def broken(gap: Gap) -> Any:
        raise LookupError("a bug in on_gap")

    async with stage(overflow=Overflow.DROP_OLDEST, capacity=1) as here:
        ada, bob = await here.enter("a", on_gap=broken), await here.enter("a")
        ada.stall()
        here.publish("a", "1", "2", "3")
        ada.resume()
        assert ada.close_code == CloseCode.INTERNAL_ERROR
        assert here.hub.statistics().subscribers == 1
        here.publish("a", "4")
        assert bob.got == ["1", "2", "3", "4"]
        assert "a bug in on_gap" in caplog.text
        assert len(caplog.records) == 1


async def test_on_gap_may_publish() -> None:
    """It runs in the middle of a delivery, and what it publishes follows; its receipt is read later."""
    async with stage(overflow=Overflow.DROP_OLDEST, capacity=1) as here:
        receipts = []

        def on_gap(gap: Gap) -> None:
            receipts.append(here.hub.broadcast_nowait("log", "a gap"))
            repr(receipts[-1])

        ada = await here.enter("a", on_gap=on_gap)
        log = await here.enter("log")
        ada.stall()
        here.publish("a", "1", "2", "3")
        ada.resume()
        assert receipts[0].delivered == 1
        assert log.got == ["a gap"]


async def test_a_client_that_leaves_is_told_of_its_gaps_before() -> None:
    """What waits is offered at the end of a connection, and the gaps in it too."""
    async with stage(overflow=Overflow.DROP_NEWEST, capacity=1) as here:
        ada = await here.enter("a", on_gap=tell)
        ada.stall()
        here.publish("a", "1", "2", "3", "4")
        ada.leave()
        assert ada.got == ["1", "2", "[2 after 2]"]
