"""Consumers that are no WebSockets: the same order, bounds and policies."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from tests.hub.fakes import stage
from tests.hub.rooms import assert_empty, numbers
from wsframework import History, Hub, Lag, Overflow, Position, Publications, Published, WebSocketStateError


async def take(publications: Publications[Any], number: int) -> list[Any]:
    """The next items, as what they hold."""
    taken: list[Any] = []
    with trio.fail_after(1):
        while len(taken) < number:
            item = await anext(publications)
            taken.append(item.data if isinstance(item, Published) else f"[{item.count} after {item.since.offset}]")
    return taken


async def test_a_task_takes_what_is_published(autojump_clock: MockClock) -> None:
    """One after the other, with their positions; others get it too, and the end of the block ends it."""
    async with stage() as here:
        ada = await here.enter("a")
        async with here.hub.listen("a") as publications:
            await here.hub.broadcast("a", {"n": 1}, key="k")
            await here.hub.broadcast("a", b"2")
            await here.hub.broadcast("b", "elsewhere")
            first = await anext(publications)
            assert (first.topic, first.position.offset, first.json(), first.key) == ("a", 1, {"n": 1}, "k")
            assert await take(publications, 1) == [b"2"]
            assert here.hub.statistics("a").subscriptions == 2
            assert publications.subscription.position == Position(first.position.epoch, 2)
        assert here.hub.statistics("a").subscriptions == 1
        await wait_all_tasks_blocked()
        assert ada.got == ['{"n":1}', b"2"]


async def test_it_waits_for_news(autojump_clock: MockClock) -> None:
    """A wait that is cancelled loses nothing; each step is a checkpoint, and a task in a burst lets others run."""
    async with stage() as here, here.hub.listen("a") as publications:
        with trio.move_on_after(1) as scope:
            await anext(publications)
        assert scope.cancelled_caught
        for number in range(100):
            here.hub.broadcast_nowait("a", str(number))
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            await wait_all_tasks_blocked()
            nursery.start_soon(others)
            assert await take(publications, 100) == [str(number) for number in range(100)]
            assert 2 <= turns <= 5  # what does not have to wait lets others run after every 32
            nursery.cancel_scope.cancel()
        with assert_checkpoints(), trio.move_on_after(0):
            await anext(publications)


@pytest.mark.parametrize(
    ("overflow", "gets"),
    [
        (Overflow.DROP_OLDEST, ["0", "[7 after 1]", "8", "9"]),
        (Overflow.DROP_NEWEST, ["0", "1", "2", "[7 after 3]"]),
        (Overflow.LATEST, ["0", "9"]),
    ],
)
async def test_a_slow_listener_meets_its_policy(overflow: Overflow, gets: list[str], autojump_clock: MockClock) -> None:
    """Nobody waits for it, and if it wants, it is told of gaps in their place."""
    async with stage() as here, here.hub.listen("a", overflow=overflow, capacity=2, gaps=True) as publications:
        here.publish("a", *map(str, range(10)))
        assert publications.subscription.lag.publications <= 2
        assert await take(publications, len(gets)) == gets
        here.publish("a", "next")
        assert await take(publications, 1) == ["next"]
        assert publications.subscription.lag == Lag(0, 0)


async def test_gaps_are_told_to_those_who_ask(autojump_clock: MockClock) -> None:
    """Without gaps=True only publications come."""
    async with stage() as here, here.hub.listen("a", overflow=Overflow.DROP_OLDEST, capacity=1) as publications:
        here.publish("a", "1", "2", "3")
        assert await take(publications, 2) == ["1", "3"]


async def test_a_listener_that_is_cut_off_is_told(autojump_clock: MockClock) -> None:
    """With the default policy one that is too slow ends with an error; what it had taken over is whole."""
    async with stage(capacity=2) as here:
        with pytest.raises(trio.BrokenResourceError, match="1013.*too slow"):
            async with here.hub.listen("a") as publications:
                receipts = here.publish("a", *map(str, range(5)))
                assert numbers(receipts[3]) == (0, 0, 3, 1)
                taken = [publication.data async for publication in publications]
                raise AssertionError(taken)
        assert here.hub.statistics().subscribers == 0


async def test_publishers_wait_for_a_listener_that_blocks(autojump_clock: MockClock) -> None:
    """A task that must get everything slows down its publishers, and nothing is lost."""
    async with stage() as here, here.hub.listen("a", overflow=Overflow.BLOCK, capacity=2) as publications:

        async def publish() -> None:
            for number in range(20):
                await here.hub.broadcast("a", str(number))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            for number in range(20):
                await trio.sleep(1)
                assert here.hub.statistics().published <= number + 5
                assert await take(publications, 1) == [str(number)]


async def test_a_listener_can_resume(autojump_clock: MockClock) -> None:
    """As a client can: all that it missed, at its own pace, then what follows; or it is told that it cannot."""
    async with stage(history=History(size=100, max_bytes=10**8)) as here:
        messages = [f"{number:02}" + "x" * 30_000 for number in range(1, 11)]
        here.publish("a", *messages)
        here.publish("a", "for ada", to="ada")
        last = await here.hub.latest("a")
        assert last is not None
        epoch = last.position.epoch
        async with here.hub.listen("a", since=Position(epoch, 2)) as publications:
            assert publications.subscription.lag == Lag(0, 0)
            here.publish("a", "11")
            assert await take(publications, 9) == [*messages[2:], "11"]
            assert publications.subscription.recovered
            here.publish("a", "12")
            assert await take(publications, 1) == ["12"]
        async with here.hub.listen("a", since=Position("other", 2), latest=True, gaps=True) as gappy:
            assert not gappy.subscription.recovered
            assert await take(gappy, 2) == ["[None after 2]", "12"]
        async with here.hub.listen("a", since=Position(epoch, 0)) as publications:
            assert (await anext(publications)).data == messages[0]
        assert here.hub._registry.topics["a"].joining == {}


async def test_it_ends_when_the_hub_stops() -> None:
    """After what was published before; listening needs a hub that runs."""
    taken = []
    hub = Hub()

    async def listen() -> None:
        async with hub.listen("a") as publications:
            async for publication in publications:
                taken.append(publication.data)

    async with trio.open_nursery() as nursery:
        async with hub.running():
            nursery.start_soon(listen)
            await wait_all_tasks_blocked()
            for number in range(3):
                hub.broadcast_nowait("a", str(number))
    assert taken == ["0", "1", "2"]
    assert_empty(hub)
    with pytest.raises(WebSocketStateError, match="does not run"):
        async with hub.listen("a"):
            pass  # pragma: no cover - it raises


async def test_what_cannot_be_listened_to() -> None:
    """The same that cannot be subscribed to."""
    async with stage() as here:
        for options, error in (
            ({"topic": "a\n"}, ValueError),
            ({"topic": ""}, TypeError),
            ({"topic": "a", "latest": True}, ValueError),
            ({"topic": "a", "capacity": 0}, ValueError),
        ):
            with pytest.raises(error):
                async with here.hub.listen(**options):  # type: ignore[call-overload]
                    pass  # pragma: no cover - it raises
        assert here.hub.statistics().subscribers == 0


async def test_an_error_in_the_block_is_not_changed() -> None:
    """What the program raises comes out as it is, in no group."""
    async with stage() as here:
        with pytest.raises(LookupError, match="mine"):
            async with here.hub.listen("a"):
                raise LookupError("mine")


async def test_a_bug_in_the_hub_ends_a_listener() -> None:
    """As it ends a connection; only once, and its task is told."""
    async with stage() as here:
        with pytest.raises(trio.BrokenResourceError, match="1011"):
            async with here.hub.listen("a") as publications:
                [subscriber] = here.hub._registry.subscribers.values()
                subscriber.fail()
                subscriber.transport.cut_off(4000)
                await anext(publications)
