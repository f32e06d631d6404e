"""What a topic remembers, for how long, and who may read it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.fakes import stage
from tests.hub.rooms import assert_empty
from wsframework import History, Hub, Position, Published, WebSocketStateError


def texts(published: list[Published]) -> list[Any]:
    return [each.data for each in published]


async def test_a_topic_remembers_the_newest(autojump_clock: MockClock) -> None:
    """As many as its size, from the oldest to the newest, with or without subscribers."""
    async with stage(history=History(size=3)) as here:
        await here.hub.broadcast("a", "1", key="k")
        await here.enter("a")
        for message in ("2", {"three": 3}, b"4"):
            await here.hub.broadcast("a", message)
        remembered = await here.hub.history("a")
        assert texts(remembered) == ["2", '{"three":3}', b"4"]
        assert [each.position.offset for each in remembered] == [2, 3, 4]
        assert len({each.position.epoch for each in remembered}) == 1
        assert [each.is_json for each in remembered] == [False, True, False]
        assert remembered[1].json() == {"three": 3}
        assert await here.hub.latest("a") == remembered[-1]
        assert await here.hub.history("b") == []
        assert await here.hub.latest("b") is None


async def test_what_to_read_of_it(autojump_clock: MockClock) -> None:
    """From a position on the first ones, and without one the newest."""
    async with stage(history=History()) as here:
        for number in range(1, 11):
            await here.hub.broadcast("a", str(number))
        epoch = (await here.hub.history("a"))[0].position.epoch
        assert texts(await here.hub.history("a", limit=2)) == ["9", "10"]
        assert texts(await here.hub.history("a", limit=20)) == [str(number) for number in range(1, 11)]
        assert texts(await here.hub.history("a", since=Position(epoch, 0), limit=2)) == ["1", "2"]
        assert texts(await here.hub.history("a", since=Position(epoch, 8))) == ["9", "10"]
        assert texts(await here.hub.history("a", since=Position(epoch, 10))) == []
        for wrong in (Position(epoch, 11), Position(epoch, -1), Position("other", 8)):
            with pytest.raises(LookupError, match="load its present state anew"):
                await here.hub.history("a", since=wrong)
        with pytest.raises(LookupError):
            await here.hub.history("b", since=Position(epoch, 0))


async def test_what_is_old_is_forgotten(autojump_clock: MockClock) -> None:
    """After its time a publication is gone, and with the last one the topic, if nobody subscribes to it."""
    async with stage(history=History(ttl=10)) as here:
        await here.hub.broadcast("a", "1")
        await trio.sleep(6)
        await here.hub.broadcast("a", "2")
        await here.hub.broadcast("b", "3")
        await trio.sleep(6)
        assert texts(await here.hub.history("a")) == ["2"]
        assert here.hub.statistics().topics == 2
        await trio.sleep(6)
        assert here.hub.statistics().topics == 0
        ada = await here.enter("a")
        await here.hub.broadcast("a", "4")
        await trio.sleep(20)
        assert here.hub.statistics().topics == 1
        ada.leave()
        assert here.hub.statistics().topics == 0


async def test_memory_is_bounded_in_bytes(autojump_clock: MockClock) -> None:
    """Large messages push out more of the older ones; one that is too large is not remembered at all."""
    async with stage(history=History(max_bytes=10)) as here:
        for message in ("1234", "5678", "90"):
            await here.hub.broadcast("a", message)
        assert texts(await here.hub.history("a")) == ["1234", "5678", "90"]
        await here.hub.broadcast("a", "abc")
        assert texts(await here.hub.history("a")) == ["5678", "90", "abc"]
        await here.hub.broadcast("a", "x" * 11)
        assert texts(await here.hub.history("a")) == []


async def test_topics_may_remember_differently(autojump_clock: MockClock) -> None:
    """The first pattern that matches counts, and what none matches remembers nothing."""
    histories = {"chat:secret": None, "chat:*": History(size=2), "log": History(size=1)}
    async with stage(history=histories) as here:
        remembered = {}
        for topic in ("chat:secret", "chat:1", "log", "other"):
            for number in range(3):
                await here.hub.broadcast(topic, str(number))
            remembered[topic] = len(await here.hub.history(topic))
        assert remembered == {"chat:secret": 0, "chat:1": 2, "log": 1, "other": 0}


async def test_a_hub_that_stops_forgets() -> None:
    """Memory lasts while the hub runs, and asking needs one that runs."""
    hub = Hub(history=History())
    async with hub.running():
        await hub.broadcast("a", "1")
        assert hub.statistics().topics == 1
    assert_empty(hub)
    with pytest.raises(WebSocketStateError, match="does not run"):
        await hub.history("a")
    async with hub.running():
        assert await hub.history("a") == []


async def test_nobody_is_kept_alive_by_what_is_remembered(autojump_clock: MockClock) -> None:
    """A message that excluded somebody does not hold on to that client."""
    async with stage(history=History()) as here:
        ada = await here.enter("a")
        receipt = here.hub.broadcast_nowait("a", "1", exclude=ada.websocket)
        assert receipt.delivered == 0
        ada.leave()
        [(_, publication)] = here.hub._registry.topics["a"].memory._publications  # type: ignore[union-attr]
        assert all(isinstance(number, int) for number in publication.exclude)
        await wait_all_tasks_blocked()


@pytest.mark.parametrize("bounds", [{"size": 0}, {"ttl": -1}, {"ttl": float("nan")}, {"max_bytes": 0}])
def test_a_history_has_bounds(bounds: dict[str, Any]) -> None:
    """They are above zero."""
    with pytest.raises(ValueError, match="above zero"):
        History(**bounds)
