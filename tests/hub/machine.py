"""The hub as a state machine: clients that come, stall, resume, vanish and come back while others publish.

What each client must get is modelled per subscription, from what was published and when the calls returned: see
`tests.hub.promises`. Nothing is predicted that the hub may choose, such as what a full lane drops; but everything has
to be accounted for: each publication comes in its place and once, or it is counted by a gap that is told in its place.
"""

from __future__ import annotations

from typing import Any

import attrs
import hypothesis.strategies as st
import trio
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from trio.testing import wait_all_tasks_blocked

from tests.hub.fakes import CountingFormat
from tests.hub.promises import Actor, Log, Published, Seat
from tests.hub.rooms import assert_empty
from tests.hub.stepwise import StepwiseRun
from wsframework import History, Hub, Overflow, Position, Receipt, WebSocketDisconnect

TOPICS = "ab"
REMEMBERED = 4
MOST_CLIENTS = 7
POLICIES: dict[str, dict[str, Any]] = {
    "lossless": {},
    "lossless, in a lane of its own": {"capacity": 1000},
    "DISCONNECT": {"capacity": 3},
    "DROP_OLDEST": {"capacity": 2, "overflow": Overflow.DROP_OLDEST},
    "DROP_NEWEST": {"capacity": 2, "overflow": Overflow.DROP_NEWEST},
    "LATEST": {"capacity": 100, "overflow": Overflow.LATEST},
    "BLOCK": {"capacity": 3, "overflow": Overflow.BLOCK},
}

BEGINNERS = [
    {"a": "lossless", "b": "LATEST"},
    {"a": "DROP_OLDEST", "b": "DROP_NEWEST"},
    {"a": "DROP_NEWEST", "b": "lossless, in a lane of its own"},
    {"a": "LATEST", "b": "lossless"},
]


@attrs.define
class Memory:
    """What a client that has gone knows of a topic."""

    topic: str
    position: Position


class HubMachine(RuleBasedStateMachine):
    clients: Bundle[Actor] = Bundle("clients")
    memories: Bundle[Memory] = Bundle("memories")
    topics = st.sampled_from(TOPICS)
    resuming = st.sampled_from(sorted(set(POLICIES) - {"LATEST"}))
    rooms = st.sampled_from([0, 1, 2, 100])
    messages = st.lists(st.tuples(topics, st.sampled_from("xy")), min_size=1, max_size=4)

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub(capacity=10_000, history=History(size=REMEMBERED))
        self.run = StepwiseRun(self.hub.running())
        self.logs = {topic: Log(topic) for topic in TOPICS}
        self.actors: list[Actor] = []
        self.receipts: list[Receipt] = []
        self.wire_format = CountingFormat()

    # Who is here

    @initialize(target=clients, randomness=st.random_module())
    def begin(self, randomness: object) -> Any:
        """Have Trio order its tasks in one of its ways, and some clients who are there from the beginning."""
        for policies in BEGINNERS:
            actor = self._enter()
            for topic, policy in policies.items():
                self._subscribe(actor, topic, policy)
        self.go_on("settle")
        return multiple(*self.actors)

    @rule(target=clients)
    def enter(self) -> Any:
        if len(self.actors) == MOST_CLIENTS:
            return multiple()
        return self._enter()

    @rule(actor=clients, topic=topics, policy=st.sampled_from(sorted(POLICIES)))
    def subscribe(self, actor: Actor, topic: str, policy: str) -> None:
        self._subscribe(actor, topic, policy)

    @rule(actor=clients, topic=topics)
    def unsubscribe(self, actor: Actor, topic: str) -> None:
        seat = actor.seats.get(topic)
        if seat is None or not seat.live or actor not in self.actors:
            return

        async def unsubscribe() -> None:
            await self.hub.unsubscribe(actor.websocket, topic)
            seat.gone = seat.log.end

        seat.left = seat.log.end
        self._start(unsubscribe)

    @rule(target=memories, actor=consumes(clients))
    def vanish(self, actor: Actor) -> Any:
        """A client breaks away, and keeps what it knows of its topics."""
        return multiple(*self._vanish(actor))

    @rule(
        target=clients,
        memory=consumes(memories),
        policy=resuming,
        room=rooms,
        lie=st.sampled_from([None, None, None, "epoch", "future"]),
    )
    def come_back(self, memory: Memory, policy: str, room: int, lie: str | None) -> Any:
        """It resumes in a new connection, which may be slow. A position may also be made up."""
        position = memory.position
        if lie == "epoch":
            position = Position("another life", position.offset)
        elif lie == "future":
            position = Position(position.epoch, self.logs[memory.topic].end + 1000)
        return self._come_back(memory.topic, position, policy, room)

    @rule(
        target=clients,
        actor=consumes(clients),
        policy=resuming,
        room=rooms,
        what=messages,
        excluded=st.none() | clients,
    )
    def reconnect(
        self, actor: Actor, policy: str, room: int, what: list[tuple[str, str]], excluded: Actor | None
    ) -> Any:
        """It resumes at once, and only a few messages have been published meanwhile."""
        memories = self._vanish(actor)
        self._publish(what, excluded)
        if not memories:
            return multiple()
        return self._come_back(memories[0].topic, memories[0].position, policy, room)

    @rule(
        target=clients,
        actor=consumes(clients),
        policy=resuming,
        missed=st.integers(1, REMEMBERED),
        meanwhile=st.integers(0, 2 * REMEMBERED),
    )
    def resume_slowly(self, actor: Actor, policy: str, missed: int, meanwhile: int) -> Any:
        """It takes one write of what it has missed, and the topic may forget the rest before it takes more."""
        memories = self._vanish(actor)
        if not memories:
            return multiple()
        topic = memories[0].topic
        self._publish([(topic, "x")] * missed, None)
        back = self._come_back(topic, memories[0].position, policy, room=0)
        self.go_on("settle")
        self._publish([(topic, "x")] * meanwhile, None)
        return back

    # What happens

    @rule(what=messages, excluded=st.none() | clients)
    def publish(self, what: list[tuple[str, str]], excluded: Actor | None) -> None:
        """Several messages within one tick."""
        self._publish(what, excluded)

    @rule(what=messages, actor=clients)
    def publish_and_send(self, what: list[tuple[str, str]], actor: Actor) -> None:
        """Messages for all, and one for a client alone that must not overtake them."""
        self._publish(what, None)
        self.send(actor)

    @rule(what=messages, actor=st.none() | clients)
    def publish_to_those_who_stall(self, what: list[tuple[str, str]], actor: Actor | None) -> None:
        """One or all of them: their connections take the first, and the others have to wait."""
        for each in self.actors if actor is None else [actor]:
            each.stall()
        self._publish([*what, *what], None)
        self.go_on("read a receipt")

    def _publish(self, what: list[tuple[str, str]], excluded: Actor | None) -> None:

        async def publish() -> None:
            for topic, key in what:
                log = self.logs[topic]
                exclude = None if excluded is None else excluded.websocket
                try:
                    receipt = self.hub.broadcast_nowait(topic, f"{topic} {log.end + 1}", key=key, exclude=exclude)
                except trio.WouldBlock:
                    continue
                # Whom the hub does not know when it is published to, it cannot leave out when that is read later.
                known = excluded is not None and excluded.mailbox is not None
                log.publications.append(Published(key, excluded if known else None))
                self.receipts.append(receipt)

        self.run.do(publish)

    @rule(actor=clients)
    def send(self, actor: Actor) -> None:
        async def send() -> None:
            actor.send_directly()

        self.run.do(send)

    @rule(actor=clients, room=st.sampled_from([0, 0, 0, 1, 2, 100]))
    def take(self, actor: Actor, room: int) -> None:
        """A client stalls, or takes what it was offered and so many writes more."""
        if room == 0:
            actor.stall()
            return

        async def resume() -> None:
            actor.resume(room)

        self.run.do(resume)

    @rule(how=st.sampled_from(["one tick", "one tick", "two ticks", "three ticks", "settle", "read a receipt"]))
    def go_on(self, how: str) -> None:
        """Have the hub work for a while."""

        async def go_on() -> None:
            match how:
                case "settle":
                    await wait_all_tasks_blocked()
                case "read a receipt":
                    repr(self.receipts[-1:])  # which delivers what is pending
                case _:
                    for _ in range(["one tick", "two ticks", "three ticks"].index(how) + 1):
                        await trio.lowlevel.checkpoint()

        self.run.do(go_on)

    # What must hold

    @invariant()
    def everything_is_accounted_for(self) -> None:
        for actor in list(self.actors):
            actor.check()
            if actor.close_code is not None:
                assert any(seat.policy in ("DISCONNECT", "BLOCK") for seat in actor.seats.values()), (
                    "cut off for nothing"
                )
                self._leave(actor)

    def teardown(self) -> None:
        """Everybody takes what waits; then nothing may be missing."""
        try:
            self._take_everything()
            for actor in list(self.actors):
                for seat in actor.seats.values():
                    seat.finish()
                self._leave(actor)
            self.logs.clear()
        finally:
            self.run.end()
        assert_empty(self.hub)

    def _take_everything(self) -> None:
        for _ in range(30):  # those who catch up take a write at a time
            for actor in self.actors:
                self.take(actor, 100)
            self.go_on("settle")
        self.everything_is_accounted_for()

    # How it is done

    def _start(self, step: Any) -> None:
        async def start() -> None:
            self.run.nursery.start_soon(step)

        self.run.do(start)

    def _enter(self) -> Actor:
        async def enter() -> Actor:
            return Actor(self.wire_format)

        actor: Actor = self.run.do(enter)
        self.actors.append(actor)
        return actor

    def _leave(self, actor: Actor) -> None:
        async def leave() -> None:
            actor.leave()

        if actor in self.actors:
            self.actors.remove(actor)
            self.run.do(leave)

    def _vanish(self, actor: Actor) -> list[Memory]:
        self._leave(actor)
        actor.check()
        return [
            Memory(seat.log.name, self._position(seat.log.name, seat.next - 1))
            for seat in actor.seats.values()
            if seat.next is not None and seat.policy != "LATEST"
        ]

    def _come_back(self, topic: str, position: Position, policy: str, room: int) -> Any:
        if len(self.actors) == MOST_CLIENTS:
            return multiple()
        actor = self._enter()
        actor.room = room
        self._subscribe(actor, topic, policy, position)
        return actor

    def _position(self, topic: str, offset: int) -> Position:
        return Position(self.hub._registry.topics[topic].epoch, offset)

    def _subscribe(self, actor: Actor, topic: str, policy: str, since: Position | None = None) -> None:
        if topic in actor.seats or actor not in self.actors:
            return
        log = self.logs[topic]
        seat = actor.seats[topic] = Seat(actor, log, policy, log.end, None if since is None else since.offset)
        if since is not None:
            seat.next = since.offset + 1

        async def subscribe() -> None:
            try:
                subscription = await self.hub.subscribe(
                    actor.websocket, topic, on_gap=seat.tell, since=since, **POLICIES[policy]
                )
            except WebSocketDisconnect:
                assert actor.close_code is not None
                return
            actor.check()
            seat.returned = log.end
            if since is not None:
                told = seat.lost_its_place or seat.was_outrun
                assert subscription.recovered != told, f"recovered={subscription.recovered}, which is not what it got"
                made_up = since.epoch != self._position(topic, 0).epoch or since.offset > log.end
                assert told or not made_up, "it has recovered from where it never was"
                assert not told or made_up or log.end - since.offset > REMEMBERED, "all of it was still there"

        self._start(subscribe)
