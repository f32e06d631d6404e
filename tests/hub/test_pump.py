"""The pump is fair to the rest of the program, and nobody notices where it was interrupted."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis.strategies as st
import pytest
import trio
from hypothesis import HealthCheck, Phase, given, settings
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.fakes import FakeClient, stage
from tests.hub.rooms import numbers
from wsframework.hub import pump as pump_module
from wsframework.hub.place import Place
from wsframework.hub.topic import Topic


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


async def test_many_small_topics_do_not_hold_it_up_either() -> None:
    """The bound is on subscribers and topics, not on those of one topic; nor does each cost a turn of its own."""
    async with stage(max_topics=2000) as here:
        ada = await here.enter(*(f"topic {number}" for number in range(2000)))
        for number in range(2000):
            here.hub.broadcast_nowait(f"topic {number}", "hello")
        turns = 0
        while len(ada.got) < 2000:
            turns += 1
            await trio.lowlevel.checkpoint()
        assert 8 <= turns <= 100


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


# Random histories, in which several tasks work at once and trio decides who is next

CLIENTS = range(3)
topics = st.sampled_from("ab")
publisher = st.lists(
    st.one_of(st.tuples(st.just("publish"), topics), st.sampled_from([("tick",), ("read",)])), max_size=12
)
client = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), topics),
        st.sampled_from([("tick",), ("send",), ("send",), ("stall",), ("resume",)]),
    ),
    min_size=4,
    max_size=14,
)


class History:
    """What is published, and by whom it should be seen."""

    def __init__(self) -> None:
        self.count = 0
        self.expected: list[list[str]] = [[] for _ in CLIENTS]
        self.subscribed: list[set[str]] = [set() for _ in CLIENTS]

    async def run(self, publishers: list[Any], scripts: list[Any]) -> None:
        async with stage(capacity=1000) as self.here:
            self.clients = [await self.here.enter() for _ in CLIENTS]
            async with trio.open_nursery() as nursery:
                for script in publishers:
                    nursery.start_soon(self.publish_all, script)
                for index, script in enumerate(scripts):
                    nursery.start_soon(self.live, index, script)
            await wait_all_tasks_blocked()
            for index, one in enumerate(self.clients):
                one.resume()
                self.compare(one.got, self.expected[index])

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    async def publish_all(self, script: list[tuple[str, ...]]) -> None:
        receipt = None
        for step, *arguments in script:
            match step:
                case "publish":
                    name = self.name(arguments[0])
                    for index in CLIENTS:
                        if arguments[0] in self.subscribed[index]:
                            self.expected[index].append(name)
                    receipt = self.here.hub.broadcast_nowait(arguments[0], name)
                case "read":
                    repr(receipt)
                case "tick":
                    await trio.lowlevel.checkpoint()

    async def live(self, index: int, script: list[tuple[str, ...]]) -> None:
        one, subscribed = self.clients[index], self.subscribed[index]
        for step, *arguments in script:
            match step:
                case "subscribe":
                    await self.here.hub.subscribe(one.websocket, arguments[0])
                    subscribed.add(arguments[0])
                case "unsubscribe":
                    await self.here.hub.unsubscribe(one.websocket, arguments[0])
                    subscribed.discard(arguments[0])
                case "send":
                    name = self.name("!")
                    self.expected[index].append(name)
                    if one.mailbox is None or one.mailbox.catch_up():
                        one.offer([name])
                    else:
                        assert one.mailbox.line_up([name]) is not None
                case "tick":
                    await trio.lowlevel.checkpoint()
                case "stall":
                    one.stall()
                case "resume":
                    one.resume()

    @staticmethod
    def compare(got: list[Any], expected: list[str]) -> None:
        """Each topic is whole and in order, and so it is with each direct message."""
        assert sorted(got) == sorted(expected)
        for topic in "ab":
            kinds = (topic, "!")
            assert [each for each in got if each[0] in kinds] == [each for each in expected if each[0] in kinds]


def check_histories(number: int = 150) -> None:
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.lists(publisher, min_size=1, max_size=3), st.lists(client, min_size=3, max_size=3))
    def check(publishers: list[Any], scripts: list[Any]) -> None:
        trio.run(History().run, publishers, scripts, clock=MockClock(autojump_threshold=0))

    check()


@pytest.mark.usefixtures("tiny_steps")
def test_order_and_completeness_while_the_pump_is_interrupted() -> None:
    """However trio orders the tasks: no hole, nothing twice, one order, and direct messages in their place."""
    check_histories()


def joins_at_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who subscribes gets what was pending already."""
    go_live = Topic.go_live

    def wrong(topic: Topic, place: Place) -> None:
        go_live(topic, place)
        place.next = topic.begin

    monkeypatch.setattr(Topic, "go_live", wrong)


def forgets_to_catch_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends directly is not offered what is pending before."""
    monkeypatch.setattr(Place, "catch_up", lambda place: None)


def forgets_what_came_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is published while the pump is under way in that topic is thrown away with what it delivers."""
    sweep = Topic.sweep

    def wrong(topic: Topic, budget: int) -> int:
        left = sweep(topic, budget)
        if not left:
            topic.begin = topic.end
            topic.pending.clear()
        return left

    monkeypatch.setattr(Topic, "sweep", wrong)


def offers_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is ahead is offered everything again."""
    deliver_to = Topic.deliver_to

    def wrong(topic: Topic, place: Place) -> None:
        if place.next >= 0:
            place.next = topic.begin
        deliver_to(topic, place)

    monkeypatch.setattr(Topic, "deliver_to", wrong)


@pytest.fixture(
    params=[joins_at_the_beginning, forgets_to_catch_up, forgets_what_came_meanwhile, offers_from_the_first]
)
def mistake(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    request.param(monkeypatch)


@pytest.mark.usefixtures("tiny_steps", "mistake")
def test_a_wrong_pump_is_found() -> None:
    """The histories above are wild enough: each of these mistakes fails one of them."""
    with pytest.raises((AssertionError, ExceptionGroup)) as caught:
        check_histories(5000)  # as a rule less than a hundred will do
    assert isinstance(caught.value, AssertionError) or caught.group_contains(AssertionError)
