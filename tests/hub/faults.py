"""What a hub could do wrong: each breaks one thing on purpose, to see whether a test finds it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from wsframework import Gap, Position
from wsframework.hub.lane import Lane, Slot
from wsframework.hub.place import Place
from wsframework.hub.publication import Payload
from wsframework.hub.replay import Replay
from wsframework.hub.subscriber import Subscriber
from wsframework.hub.topic import Topic

Fault = Callable[[pytest.MonkeyPatch], None]
FAULTS: list[Fault] = []


def fault(function: Fault) -> Fault:
    FAULTS.append(function)
    return function


# The pump


@fault
def the_pump_reorders(patch: pytest.MonkeyPatch) -> None:
    """What was gathered in one tick goes out with the newest first."""
    begin_sweep = Topic._begin_sweep

    def wrong(topic: Topic) -> Any:
        sweep = begin_sweep(topic)
        sweep.publications.reverse()
        return sweep

    patch.setattr(Topic, "_begin_sweep", wrong)


@fault
def the_pump_delivers_twice(patch: pytest.MonkeyPatch) -> None:
    """Who is ahead of the pump is offered everything again."""
    deliver_to = Topic.deliver_to

    def wrong(topic: Topic, place: Place) -> None:
        if place.live:
            place.next = topic.begin
        deliver_to(topic, place)

    patch.setattr(Topic, "deliver_to", wrong)


@fault
def the_pump_loses_what_comes_meanwhile(patch: pytest.MonkeyPatch) -> None:
    """What is published while the pump is under way is thrown away with what it delivers."""
    sweep = Topic.sweep

    def wrong(topic: Topic, budget: int) -> int:
        left = sweep(topic, budget)
        if not left:
            topic.begin = topic.end
            topic.pending.clear()
        return left

    patch.setattr(Topic, "sweep", wrong)


@fault
def the_pump_passes_one_over(patch: pytest.MonkeyPatch) -> None:
    """The last subscriber is not visited when there are more than two."""
    begin_sweep = Topic._begin_sweep

    def wrong(topic: Topic) -> Any:
        sweep = begin_sweep(topic)
        if len(sweep.places) > 2:
            place = sweep.places.pop()
            place.next = max(place.next, sweep.end)
        return sweep

    patch.setattr(Topic, "_begin_sweep", wrong)


@fault
def everybody_gets_what_some_should_not(patch: pytest.MonkeyPatch) -> None:
    """Nobody is excluded."""
    patch.setattr(Place, "concerns", lambda place, publication: True)


# Joining and leaving


@fault
def a_joiner_is_missed(patch: pytest.MonkeyPatch) -> None:
    """Who subscribes gets nothing before the publication after the next."""
    go_live = Topic.go_live

    def wrong(topic: Topic, place: Place) -> None:
        go_live(topic, place)
        place.next += 1

    patch.setattr(Topic, "go_live", wrong)


@fault
def a_joiner_gets_what_was_before(patch: pytest.MonkeyPatch) -> None:
    """Who subscribes is offered what is pending, also what was published before."""
    go_live = Topic.go_live

    def wrong(topic: Topic, place: Place) -> None:
        go_live(topic, place)
        place.next = topic.begin

    patch.setattr(Topic, "go_live", wrong)


@fault
def a_leaver_gets_more(patch: pytest.MonkeyPatch) -> None:
    """unsubscribe forgets to take the place out of its topic."""

    def wrong(place: Place) -> None:
        place.topic.joining.pop(place, None)

    end = Place.end
    patch.setattr(Place, "end", lambda place: end(place) if place.subscriber.transport.close_code else wrong(place))


@fault
def a_leaver_loses_what_is_pending(patch: pytest.MonkeyPatch) -> None:
    """Neither unsubscribe nor a direct message is preceded by what was published before."""
    patch.setattr(Place, "catch_up", lambda place: None)


# Direct messages


@fault
def a_direct_message_overtakes_the_pump(patch: pytest.MonkeyPatch) -> None:
    """It leaves at once, before what is pending."""
    patch.setattr(
        Subscriber,
        "catch_up",
        lambda subscriber: not (subscriber.behind and (subscriber._direct or subscriber.waiting)),
    )


@fault
def a_direct_message_overtakes_what_waits(patch: pytest.MonkeyPatch) -> None:
    """It goes to the front of the line."""
    line_up = Subscriber.line_up

    def wrong(subscriber: Subscriber, encoded: Any) -> Any:
        ticket = line_up(subscriber, encoded)
        if ticket is not None:
            _, *rest = subscriber._direct.pop()
            subscriber._direct.append((0, *rest))
        return ticket

    patch.setattr(Subscriber, "line_up", wrong)


@fault
def lanes_are_emptied_one_after_the_other(patch: pytest.MonkeyPatch) -> None:
    """One lane after the other, whatever was published or sent directly in between."""
    take_out = Subscriber._take_out

    def wrong(subscriber: Subscriber, until: int) -> list[Payload]:
        lanes = subscriber._lanes
        subscriber._lanes = [next((lane for lane in lanes if lane.waiting), lanes[0])]
        try:
            return take_out(subscriber, sys.maxsize)
        finally:
            subscriber._lanes = lanes

    patch.setattr(Subscriber, "_take_out", wrong)


# Policies and gaps


@fault
def latest_replaces_another_key(patch: pytest.MonkeyPatch) -> None:
    """The newest message takes the slot of whatever waits first."""
    conflate = Lane._conflate

    def wrong(lane: Lane, slot: Slot) -> bool:
        if lane._newest:
            (place, key), older = next(iter(lane._newest.items()))
            if place is slot.place:
                del lane._newest[place, key]
                lane._newest[place, slot.publication.key] = older
        return conflate(lane, slot)

    patch.setattr(Lane, "_conflate", wrong)


@fault
def latest_keeps_the_older(patch: pytest.MonkeyPatch) -> None:
    """A newer message of a key that waits is dropped."""
    patch.setattr(Lane, "_conflate", lambda lane, slot: (slot.place, slot.publication.key) in lane._newest)


@fault
def drops_in_silence(patch: pytest.MonkeyPatch) -> None:
    """DROP_OLDEST does not note what it has dropped."""
    patch.setattr(Place, "miss_first", lambda place, slot: None)


@fault
def a_gap_is_counted_wrongly(patch: pytest.MonkeyPatch) -> None:
    """One is forgotten where several were dropped one after the other."""
    miss_last = Place.miss_last

    def wrong(place: Place, slot: Slot) -> None:
        if place._lost_last != 1:
            miss_last(place, slot)

    patch.setattr(Place, "miss_last", wrong)


@fault
def a_gap_is_told_too_late(patch: pytest.MonkeyPatch) -> None:
    """It stands behind the message that it should stand before."""
    pass_on = Place.pass_on

    def wrong(place: Place, slot: Slot) -> Payload | None:
        told = pass_on(place, slot)
        if told is not None:
            slot.payload, told = told, slot.payload
        return told

    patch.setattr(Place, "pass_on", wrong)


@fault
def the_end_of_the_line_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A gap behind which nothing comes is never told."""
    patch.setattr(Place, "misses_rest", False)


# Recovery


@fault
def a_replay_begins_one_too_late(patch: pytest.MonkeyPatch) -> None:
    """The first that was missed is left out."""
    _move_replay(patch, 1)


@fault
def a_replay_begins_one_too_early(patch: pytest.MonkeyPatch) -> None:
    """What the client has already comes again."""
    _move_replay(patch, -1)


def _move_replay(patch: pytest.MonkeyPatch, by: int) -> None:
    begin = Replay._begin

    def wrong(replay: Replay) -> list[Payload]:
        payloads = begin(replay)
        topic = replay.place.topic
        if replay.place.recovered and replay._following is not None:
            replay._following = min(max(replay._following + by, topic.memory_first), topic.end)
        return payloads

    patch.setattr(Replay, "_begin", wrong)


@fault
def a_replay_ends_too_early(patch: pytest.MonkeyPatch) -> None:
    """It goes live after what was there when it began, whatever was published in the meantime."""
    step = Replay.step

    def wrong(replay: Replay) -> None:
        end = replay.place.topic.end
        step(replay)
        if replay.goes_on and not replay._backlog and replay.followers and replay._following != end:
            replay.place.topic.go_live(replay.place)

    patch.setattr(Replay, "step", wrong)


@fault
def a_part_is_passed_off_as_the_whole(patch: pytest.MonkeyPatch) -> None:
    """Whoever resumes in this life of the topic gets what is still remembered, and is told that it was everything."""

    def wrong(topic: Topic, since: Position) -> bool:
        return since.epoch == topic.epoch and since.offset < topic.end

    def begin(replay: Replay) -> list[Payload]:
        payloads = original(replay)
        if replay.place.recovered and replay._following is not None:
            replay._following = max(replay._following, replay.place.topic.memory_first)
        return payloads

    original = Replay._begin
    patch.setattr(Topic, "remembers", wrong)
    patch.setattr(Replay, "_begin", begin)


@fault
def any_life_will_do(patch: pytest.MonkeyPatch) -> None:
    """A place in another life of the topic is taken for one in this."""
    remembers = Topic.remembers
    patch.setattr(Topic, "remembers", lambda topic, since: remembers(topic, Position(topic.epoch, since.offset)))


@fault
def one_that_was_outrun_has_recovered(patch: pytest.MonkeyPatch) -> None:
    """A gap in the middle of a recovery is told, and the subscription still says that nothing is missing."""
    tell = Replay._tell

    def wrong(replay: Replay, gap: Gap) -> list[Payload]:
        if gap.count is not None:
            replay.place.recovered = True
        return tell(replay, gap)

    patch.setattr(Replay, "_tell", wrong)
