"""Several policies for one client: what may be dropped never costs what may not."""

from __future__ import annotations

import pytest

from tests.hub.fakes import stage
from tests.hub.rooms import numbers
from wsframework import CloseCode, Gap, Lag, Overflow


async def test_a_lossless_message_is_never_dropped_behind_lossy_ones() -> None:
    """A flood of data fills its own lane, and control messages wait beside it, all in the order of publishing."""
    async with stage() as here:
        ada = await here.enter("control")
        await here.hub.subscribe(ada.websocket, "data", overflow=Overflow.DROP_NEWEST, capacity=3)
        ada.stall()
        here.publish("data", "on its way")
        for number in range(10):
            here.publish("data", f"d{number}")
            here.publish("control", f"c{number}")
        ada.resume()
        assert ada.got == ["on its way", "d0", "c0", "d1", "c1", "d2", *(f"c{number}" for number in range(2, 10))]
        assert here.hub.statistics("data").dropped == 7
        assert here.hub.statistics("control").dropped == 0


async def test_subscriptions_of_their_own_do_not_share_their_bounds() -> None:
    """Each has the room that it asked for, and what it did not ask for is the hub's."""
    async with stage(capacity=2) as here:
        ada = await here.enter()
        for topic in ("a", "b"):
            await here.hub.subscribe(ada.websocket, topic, overflow=Overflow.DROP_OLDEST)
        ada.stall()
        here.publish("a", "on its way", "a1", "a2", "a3")
        here.publish("b", "b1", "b2", "b3")
        ada.resume()
        assert ada.got == ["on its way", "a2", "a3", "b2", "b3"]


async def test_a_disconnect_discards_what_waits_in_every_lane() -> None:
    """It is counted by the topic that it was published to and by the policy that discarded it."""
    async with stage(capacity=2) as here:
        ada = await here.enter("control")
        await here.hub.subscribe(ada.websocket, "data", overflow=Overflow.DROP_OLDEST, capacity=10)
        ada.stall()
        here.publish("data", "on its way", "d1", "d2")
        receipts = here.publish("control", "c1", "c2", "c3", "c4")
        assert [numbers(receipt) for receipt in receipts] == [(0, 1, 0, 0), (0, 1, 0, 0), (0, 0, 5, 1), (0, 0, 0, 0)]
        assert ada.close_code == CloseCode.TRY_AGAIN_LATER
        assert here.hub.statistics("data").dropped_by == {Overflow.DISCONNECT: 2}
        assert here.hub.statistics("control").dropped_by == {Overflow.DISCONNECT: 3}
        assert here.hub.statistics().dropped == 5
        assert here.hub.statistics("control").disconnected == here.hub.statistics().disconnected == 1


async def test_direct_messages_keep_their_place_among_several_lanes() -> None:
    """A direct message comes after what was published before it in any lane, and before what came later."""
    async with stage() as here:
        ada = await here.enter("a")
        await here.hub.subscribe(ada.websocket, "b", capacity=9)
        ada.stall()
        here.publish("a", "on its way", "a1")
        here.publish("b", "b1")
        first = ada.mailbox.line_up(["direct 1"])
        here.publish("a", "a2")
        here.publish("b", "b2")
        second = ada.mailbox.line_up(["direct 2"])
        ada.resume()
        assert ada.got == ["on its way", "a1", "b1", "direct 1", "a2", "b2", "direct 2"]
        assert first.taken
        assert second.taken


async def test_lag_tells_what_waits_for_one_subscription() -> None:
    """It counts publications and bytes, also those that were published in this very tick, and nothing of others."""
    async with stage() as here:
        ada = await here.enter("b")
        subscription = await here.hub.subscribe(ada.websocket, "a")
        assert subscription.lag == Lag(0, 0)
        ada.stall()
        here.publish("b", "on its way", "waits")
        here.publish("a", "12", "34")
        here.hub.broadcast_nowait("a", "5")
        assert subscription.lag == Lag(3, 5)
        assert repr(subscription) == "<Subscription to 'a', 3 publications behind>"
        ada.resume()
        assert subscription.lag == Lag(0, 0)


async def test_the_furthest_behind_is_told_to_the_publisher() -> None:
    """A receipt says how much waits for the one for whom most does."""
    async with stage(overflow=Overflow.DROP_NEWEST, capacity=5) as here:
        ada, bob, _ = await here.enter("a"), await here.enter("a"), await here.enter("a")
        ada.stall()
        receipts = here.publish("a", "1", "2", "3")
        bob.stall()
        receipts += here.publish("a", "4", "5", "6", "7")
        assert [receipt.furthest_behind for receipt in receipts] == [0, 1, 2, 3, 4, 5, 5]


async def test_a_subscription_is_what_it_was_when_subscribed_twice() -> None:
    """The second call returns the same subscription, whatever it asks for."""
    async with stage(capacity=1) as here:
        ada = await here.enter()
        first = await here.hub.subscribe(ada.websocket, "a", overflow=Overflow.DROP_OLDEST)
        second = await here.hub.subscribe(ada.websocket, "a", capacity=100)
        assert first == second
        assert len({first, second}) == 1
        assert first.topic == "a"
        ada.stall()
        here.publish("a", "1", "2", "3")
        assert first.lag.publications == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [({"capacity": 0}, ValueError), ({"max_bytes": -1}, ValueError), ({"overflow": "x"}, TypeError)],
)
async def test_bounds_of_a_subscription_are_checked(options: dict[str, object], error: type[Exception]) -> None:
    """As those of a hub, and nothing is subscribed."""
    async with stage() as here:
        ada = await here.enter()
        with pytest.raises(error):
            await here.hub.subscribe(ada.websocket, "a", **options)  # type: ignore[arg-type]
        assert here.hub.statistics().subscriptions == 0


# Conflation


async def test_only_the_newest_of_each_key_waits_in_the_place_of_the_oldest() -> None:
    """A key that changes all the time keeps its place in the line, so it is not starved by its own changes."""
    async with stage(overflow=Overflow.LATEST) as here:
        ada = await here.enter("prices")
        ada.stall()
        here.publish("prices", "on its way", key="x")
        for number in range(5):
            for key in ("busy", "busy", f"calm {number % 2}"):
                here.publish("prices", f"{key}: {number}", key=key)
        statistics = here.hub.statistics("prices")
        assert (statistics.waiting, statistics.conflated, statistics.dropped) == (3, 12, 0)
        assert statistics.waiting_bytes == len("busy: 4" + "calm 0: 4" + "calm 1: 3")
        ada.resume()
        assert ada.got == ["on its way", "busy: 4", "calm 0: 4", "calm 1: 3"]
        here.publish("prices", "later", key="busy")
        assert ada.got[-1] == "later"


async def test_more_keys_than_fit_drop_the_oldest() -> None:
    """Conflation bounds what waits by its keys, and the bounds of the lane hold nevertheless."""
    async with stage(overflow=Overflow.LATEST, capacity=2, max_bytes=10) as here:
        ada = await here.enter("prices")
        ada.stall()
        here.publish("prices", "on its way", key="x")
        for key in "abc":
            here.publish("prices", key, key=key)
        assert here.hub.statistics("prices").dropped_by == {Overflow.LATEST: 1}
        here.publish("prices", "b" * 9, key="b")  # fits beside c
        here.publish("prices", "c" * 9, key="c")  # fits when b has gone
        assert here.hub.statistics("prices").dropped_by == {Overflow.LATEST: 2}
        here.publish("prices", "d", key="d")
        here.publish("prices", "c" * 10, key="c")  # c stands first, so it goes to the end, and d has to go too
        assert here.hub.statistics("prices").waiting_bytes == 10
        ada.resume()
        assert ada.got == ["on its way", "c" * 10]


async def test_without_keys_a_topic_is_conflated_to_its_newest() -> None:
    """None is a key as any other; topics are told apart."""
    async with stage(overflow=Overflow.LATEST) as here:
        ada = await here.enter("a", "b")
        ada.stall()
        here.publish("a", "on its way", "a1", "a2")
        here.publish("b", "b1", "b2")
        here.publish("a", "a3")
        ada.resume()
        assert ada.got == ["on its way", "a3", "b2"]


@pytest.mark.parametrize("way", ["taken", "behind for ever", "dropped", "discarded"])
async def test_the_lane_of_a_subscription_that_has_ended_does_not_stay(way: str) -> None:
    """Whoever subscribes and unsubscribes all day with a policy of its own gets no heavier, whatever became of what
    waited."""
    async with stage() as here:
        ada = await here.enter("base")
        for number in range(20):
            await here.hub.subscribe(ada.websocket, "prices", overflow=Overflow.LATEST, capacity=2, max_bytes=10)
            ada.stall()
            here.publish("base", f"b{number}")
            here.publish("prices", "x" * (11 if way == "dropped" else 1), "y", key="k")
            await here.hub.unsubscribe(ada.websocket, "prices")
            ada.resume(room=1 if way == "behind for ever" else 100)
        subscriber = here.hub._registry.subscribers[ada]
        if way == "discarded":
            ada.stall()
            await here.hub.subscribe(ada.websocket, "prices", overflow=Overflow.LATEST)
            here.publish("base", "on its way")
            here.publish("prices", "waits")
            ada.leave()
        elif way == "behind for ever":
            assert subscriber.behind
            assert len(subscriber._lanes) <= 3
            ada.resume()
        assert len(subscriber._lanes) == 1


async def test_a_lane_that_fills_again_while_a_gap_is_told() -> None:
    """An on_gap that publishes to its own topic finds its lane just emptied; everything comes once and in order."""
    async with stage() as here:

        def on_gap(gap: Gap) -> None:
            repr(here.hub.broadcast_nowait("a", f"after a gap of {gap.count}"))

        ada = await here.enter("a", overflow=Overflow.DROP_OLDEST, capacity=1, on_gap=on_gap)
        ada.stall()
        here.publish("a", "on its way", "1", "2")
        ada.resume(room=1)
        ada.resume()
        assert ada.got == ["on its way", "2", "after a gap of 1"]
        assert len(ada.mailbox._lanes) == 1
        ada.stall()
        here.publish("a", "3", "4")
        ada.resume()
        assert ada.got[-2:] == ["3", "4"]
