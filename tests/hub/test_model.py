"""Order and completeness against a model, in random histories of a few clients and topics on real connections.

The model is a list per client: what it must get, in the order in which it was published or sent. Two topics keep no
order between each other, so the list is compared piece by piece, from one direct message to the next: a direct message
comes after everything that was published before it and before everything that is published later.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import hypothesis.strategies as st
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.rooms import NARROW, Member, Room, assert_empty
from wsframework import CloseCode, Hub, Overflow, WebSocketDisconnect

# What only random inputs reach counts as not covered. Besides, the tracer would take half of the time, or more.
pytestmark = pytest.mark.no_cover

CLIENTS = range(3)
TOPICS = ["a", "b"]
LOSSLESS: dict[str, Any] = {"capacity": 10_000}
LOSSLESS_POLICIES = (Overflow.DISCONNECT, Overflow.BLOCK)
HUBS: list[dict[str, Any]] = [LOSSLESS, *({"capacity": 3, "overflow": overflow} for overflow in Overflow)]

clients = st.sampled_from(CLIENTS)
topics = st.sampled_from(TOPICS)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), topics, st.none() | clients),
        st.tuples(st.just("publish"), topics, st.none()),
        st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), clients, topics),
        st.tuples(st.sampled_from(["send"] * 4 + ["freeze"] * 3 + ["cut in", "resume", "resume", "vanish"]), clients),
        st.tuples(st.sampled_from(["tick", "settle", "read"])),
    ),
    min_size=30,  # or most of them would be too short to do anything
    max_size=90,
)


class History:
    """One random history, and what the model says about it."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.overflow: Overflow = options.get("overflow", Overflow.DISCONNECT)
        self.room = Room(Hub(**options))
        self.members: list[Member] = []
        self.expected: list[list[str]] = [[] for _ in CLIENTS]
        self.subscribed: list[set[str]] = [set() for _ in CLIENTS]
        self.vanished: set[int] = set()
        self.refused: list[set[str]] = [set() for _ in CLIENTS]  # direct messages whose sender was told of the end
        self.names = count()

    async def run(self, steps: list[tuple[Any, ...]]) -> None:
        async with AsyncExitStack() as stack:
            for _ in CLIENTS:
                self.members.append(await stack.enter_async_context(self.room.join(window=NARROW, deadline=0.01)))
            async with trio.open_nursery() as nursery:
                self.nursery = nursery
                for name, *arguments in steps:
                    await getattr(self, name.replace(" ", "_"))(*arguments)
                await wait_all_tasks_blocked()
                for member in self.members:
                    member.client.resume()
                await self.compare()
        assert_empty(self.room.hub)

    # The steps

    async def publish(self, topic: str, excluded: int | None) -> None:
        name = f"{topic}{next(self.names)}"
        exclude = None if excluded is None else self.members[excluded].websocket
        try:
            self.receipt = self.room.hub.broadcast_nowait(topic, name, exclude=exclude)
        except trio.WouldBlock:
            assert self.overflow is Overflow.BLOCK
            return
        for client in CLIENTS:
            if topic in self.subscribed[client] and client != excluded:
                self.expected[client].append(name)

    async def subscribe(self, client: int, topic: str) -> None:
        # Between the call and the subscription there is a tick, in which nothing else is published here.
        try:
            await self.room.hub.subscribe(self.members[client].websocket, topic)
            self.subscribed[client].add(topic)
        except WebSocketDisconnect:
            assert self.members[client].websocket.close_code is not None

    async def unsubscribe(self, client: int, topic: str) -> None:
        await self.room.hub.unsubscribe(self.members[client].websocket, topic)
        self.subscribed[client].discard(topic)

    async def send(self, client: int) -> None:
        """Send directly from a task of its own, which may have to wait; other steps come before it gets to run."""
        self.nursery.start_soon(self._send, client)

    async def cut_in(self, client: int) -> None:
        """Send directly in this very tick. The client may be behind; the message keeps its place when cancelled."""
        with trio.CancelScope() as scope:
            self.nursery.start_soon(self._cancel_later, scope)
            await self._send(client)

    async def _cancel_later(self, scope: trio.CancelScope) -> None:
        await wait_all_tasks_blocked()
        scope.cancel()

    async def _send(self, client: int) -> None:
        name = f"!{next(self.names)}".ljust(3 * NARROW)  # one of them fills the window of a client that stalls
        transport = self.members[client].websocket.transport
        transport._burst = 32  # a send that lets others run first has no place in the model yet
        self.expected[client].append(name)
        try:
            await self.members[client].websocket.send_text(name)
        except WebSocketDisconnect:
            assert transport.close_code is not None
            self.refused[client].add(name)

    async def freeze(self, client: int) -> None:
        self.members[client].client.stall()
        await self.send(client)

    async def resume(self, client: int) -> None:
        self.members[client].client.resume()

    async def vanish(self, client: int) -> None:
        self.vanished.add(client)
        self.members[client].client.vanish()

    async def tick(self) -> None:
        await trio.lowlevel.checkpoint()

    async def settle(self) -> None:
        await wait_all_tasks_blocked()

    async def read(self) -> None:
        repr(self.receipt if hasattr(self, "receipt") else None)

    # What came of it

    async def compare(self) -> None:
        lost = cut_off_ones = 0
        for client in CLIENTS:
            received = await self.members[client].receive_rest()
            assert len(received) == len(set(received)), "something came twice"
            cut_off = self.members[client].websocket.close_code == CloseCode.TRY_AGAIN_LATER
            cut_off_ones += cut_off
            if client in self.vanished or cut_off:
                self.check_beginning(received, self.expected[client])
                # Of what was on its way to one who vanished, nobody can know whether it arrived.
                assert client in self.vanished or not self.refused[client] & set(received)
            else:
                assert not self.refused[client]
                self.check_places(received, self.expected[client])
                lost += len(self.expected[client]) - len(received)
        statistics = self.room.hub.statistics()
        assert statistics.disconnected == cut_off_ones or self.vanished
        if not self.vanished and not cut_off_ones:
            assert lost == statistics.dropped + statistics.conflated
        assert statistics.dropped == 0 or self.overflow is not Overflow.BLOCK
        assert statistics.conflated == 0 or self.overflow is Overflow.LATEST

    def check_places(self, received: list[Any], expected: list[str]) -> None:
        """Direct messages are all there and in their place, and between them each topic has its order."""
        if self.overflow is Overflow.LATEST:
            # What takes the place of an older message may overtake what was sent directly in between. But the newest
            # always arrives.
            assert of("!", received) == of("!", expected)
            for topic in TOPICS:
                assert is_part(of(topic, received), of(topic, expected))
                assert of(topic, received)[-1:] == of(topic, expected)[-1:]
            return
        lossless = self.overflow in LOSSLESS_POLICIES
        pieces, should = split(received), split(expected)
        assert [name for name, _ in pieces] == [name for name, _ in should]
        for (_, piece), (_, whole) in zip(pieces, should, strict=True):
            for topic in TOPICS:
                got, published = of(topic, piece), of(topic, whole)
                assert got == published if lossless else is_part(got, published)

    def check_beginning(self, received: list[Any], expected: list[str]) -> None:
        """What a client got before it was gone came in order, and where nothing may be dropped, without a gap."""
        assert is_part([name for name in received if name[0] == "!"], [name for name in expected if name[0] == "!"])
        for topic in TOPICS:
            got, published = of(topic, received), of(topic, expected)
            if self.overflow in LOSSLESS_POLICIES:
                assert got == published[: len(got)]
            else:
                assert is_part(got, published)


def split(messages: list[str]) -> list[tuple[str, list[str]]]:
    """Each direct message with what comes after it; first, under no name, what comes before all of them."""
    pieces: list[tuple[str, list[str]]] = [("", [])]
    for message in messages:
        if message[0] == "!":
            pieces.append((message, []))
        else:
            pieces[-1][1].append(message)
    return pieces


def of(topic: str, messages: list[str]) -> list[str]:
    return [message for message in messages if message[0] == topic]


def is_part(part: list[str], whole: list[str]) -> bool:
    """Whether ``part`` is ``whole`` with some left out."""
    remaining = iter(whole)
    return all(message in remaining for message in part)


@pytest.mark.parametrize("options", HUBS, ids=["lossless", *(overflow.name for overflow in Overflow)])
def test_order_and_completeness(options: dict[str, Any]) -> None:
    """In every history each client gets what the model says: all of it, in order, or what its policy leaves."""

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(steps)
    def check(steps: list[tuple[Any, ...]]) -> None:
        trio.run(History(options).run, steps, clock=MockClock(autojump_threshold=0))

    check()
