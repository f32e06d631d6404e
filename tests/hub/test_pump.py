"""The pump is fair to the rest of the program, and nobody notices where it was interrupted."""

from __future__ import annotations

import itertools
import math

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.hub.fakes import FakeClient, stage
from tests.hub.rooms import numbers
from wsframework.hub import pump as pump_module


@pytest.fixture
def tiny_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pump lets others run after each single subscriber."""
    monkeypatch.setattr(pump_module, "_PIECE", 1)
    monkeypatch.setattr(pump_module, "_MOST", 1)


async def test_a_large_topic_does_not_hold_up_the_program() -> None:
    """While thousands are served, other tasks get their turn after a few hundred of them."""
    async with stage() as here:
        clients = [await here.enter("a") for _ in range(3000)]
        served = []

        async def watch() -> None:
            while not clients[-1].got:
                served.append(sum(bool(client.got) for client in clients))
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            receipt = here.hub.broadcast_nowait("a", "hello")
            nursery.start_soon(watch)
        steps = [later - earlier for earlier, later in itertools.pairwise(served)]
        assert max(steps) <= 2 * 256  # trio may run the pump last in one tick and first in the next
        assert numbers(receipt) == (3000, 0, 0, 0)


@pytest.mark.parametrize(
    ("longest", "least", "most"), [(math.inf, 8, 20), (0.0, 2000, 2100)], ids=["fast", "so slow that time is up"]
)
async def test_many_small_topics_do_not_hold_it_up_either(
    longest: float, least: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is on subscribers and topics, not on those of one topic; nor does each cost a turn of its own."""
    monkeypatch.setattr(pump_module, "_LONGEST", longest)
    async with stage(max_topics=2000) as here:
        ada = await here.enter(*(f"topic {number}" for number in range(2000)))
        for number in range(2000):
            here.hub.broadcast_nowait(f"topic {number}", "hello")
        turns = 0
        while len(ada.got) < 2000:
            turns += 1
            await trio.lowlevel.checkpoint()
        assert least <= turns <= most


async def in_the_middle(clients: list[FakeClient]) -> None:
    """Wait until some of them have something and others do not."""
    while not 0 < sum(bool(client.got) for client in clients) < len(clients):
        await trio.lowlevel.checkpoint()


@pytest.mark.usefixtures("tiny_steps")
async def test_a_receipt_that_is_read_in_the_middle_settles_it() -> None:
    """Its numbers are those of the whole delivery, and of what was published while it was under way."""
    async with stage() as here:
        clients = [await here.enter("a") for _ in range(10)]
        first = here.hub.broadcast_nowait("a", "1")
        await in_the_middle(clients)
        second = here.hub.broadcast_nowait("a", "2")
        third = here.hub.broadcast_nowait("b", "3")
        assert numbers(second) == numbers(first) == (10, 0, 0, 0)
        assert numbers(third) == (0, 0, 0, 0)
        await wait_all_tasks_blocked()
        assert all(client.got == ["1", "2"] for client in clients)


@pytest.mark.usefixtures("tiny_steps")
async def test_who_comes_goes_or_sends_in_the_middle() -> None:
    """Everybody gets what was published while it was subscribed, once, and direct messages keep their place."""
    async with stage() as here:
        clients = [await here.enter("a") for _ in range(20)]
        here.hub.broadcast_nowait("a", "1")
        await in_the_middle(clients)
        here.hub.broadcast_nowait("a", "2")
        for client in clients[::4]:
            assert client.mailbox.catch_up()
            client.offer(["direct"])
        clients[1].leave()
        clients[-2].leave()
        here.hub.broadcast_nowait("a", "3")
        late = await here.enter("a")
        here.hub.broadcast_nowait("a", "4")
        await wait_all_tasks_blocked()
        for client in clients[::4]:
            assert client.got == ["1", "2", "direct", "3", "4"]
        for client in (clients[2], clients[3], clients[-1]):
            assert client.got == ["1", "2", "3", "4"]
        assert late.got[-1] == "4"
        assert late.got == ["1", "2", "3", "4"][-len(late.got) :]
        assert "1" not in late.got
