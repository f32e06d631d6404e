"""Who is here, and who is told of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.fakes import FakeClient, Stage, stage
from tests.hub.rooms import Room, assert_empty
from wsframework import Hub, Member, Overflow, PresenceEvent, StandardEnvelope, WebSocketStateError


async def here_in(hub: Hub, topic: str = "a") -> list[tuple[str, Any, int]]:
    return [(member.identity, member.data, member.connections) for member in await hub.presence(topic)]


def told(client: FakeClient) -> list[str]:
    """What a watcher was told, in short: the event, and whom it concerns with what is said of them."""
    messages = [json.loads(message) for message in client.got]
    assert all(message["topic"] == "a" for message in messages)
    return [
        " ".join([message["presence"], *(f"{member['identity']}={member['data']}" for member in message["members"])])
        for message in messages
    ]


async def arrive(here: Stage, identity: str, data: Any = 1, topic: str = "a") -> FakeClient:
    client: FakeClient = await here.enter(topic, identity=identity, presence=data)
    return client


async def test_who_is_here(autojump_clock: MockClock) -> None:
    """Those who subscribed with presence, with what is said of them; several connections of one are one person."""
    async with stage(presence_grace=0) as here:
        await here.enter("a", identity="hidden")
        ada, bob, ada_too = (
            await arrive(here, "ada", {"x": 1}),
            await arrive(here, "bob", {}),
            await arrive(here, "ada", 2),
        )
        await arrive(here, "cleo", topic="b")
        assert await here_in(here.hub) == [("ada", 2, 2), ("bob", {}, 1)]
        assert await here_in(here.hub, "b") == [("cleo", 1, 1)]
        assert await here_in(here.hub, "c") == []
        ada.leave()
        await trio.lowlevel.checkpoint()
        assert await here_in(here.hub) == [("ada", 2, 1), ("bob", {}, 1)]
        ada_too.leave()
        bob.leave()
        await trio.sleep(1)
        assert await here_in(here.hub) == []


async def test_somebody_without_an_identity_is_a_person_of_its_own(autojump_clock: MockClock) -> None:
    """Each gets a name that nobody else has."""
    async with stage() as here:
        for _ in range(3):
            await here.enter("a", presence={})
        names = {member.identity for member in await here.hub.presence("a")}
        assert len(names) == 3
        assert "" not in names


async def test_a_reconnect_is_no_leave_and_join(autojump_clock: MockClock) -> None:
    """Who comes back within the grace was here all the time, also when it goes again; who does not has left."""
    async with stage(presence_grace=10) as here:
        watcher = await here.enter("a", presence_events=True)
        ada = await arrive(here, "ada")
        ada.leave()
        await trio.sleep(9)
        assert await here_in(here.hub) == [("ada", 1, 0)]
        ada = await arrive(here, "ada")
        await trio.sleep(0.5)
        ada.leave()
        await trio.sleep(9)  # the end of the first grace has passed
        assert await here_in(here.hub) == [("ada", 1, 0)]
        await wait_all_tasks_blocked()
        assert told(watcher) == ["here", "join ada=1"]
        await trio.sleep(2)
        assert await here_in(here.hub) == []
        assert told(watcher) == ["here", "join ada=1", "leave ada=1"]


async def test_unsubscribe_leaves_at_once(autojump_clock: MockClock) -> None:
    """It is meant, so nobody waits for a return; other connections of the same person stay."""
    async with stage() as here:
        watcher = await here.enter("a", presence_events=True)
        ada, ada_too = await arrive(here, "ada"), await arrive(here, "ada")
        await here.hub.unsubscribe(ada.websocket, "a")
        assert await here_in(here.hub) == [("ada", 1, 1)]
        await here.hub.unsubscribe(ada_too.websocket, "a")
        assert await here_in(here.hub) == []
        await wait_all_tasks_blocked()
        assert told(watcher) == ["here", "join ada=1", "leave ada=1"]
        await here.hub.unsubscribe(watcher.websocket, "a")
        await arrive(here, "bob")
        await wait_all_tasks_blocked()
        assert len(told(watcher)) == 3


async def test_a_watcher_begins_with_everybody(autojump_clock: MockClock) -> None:
    """First the list as it is, then each change, once and in order, with its own arrival among them or not."""
    async with stage(presence_grace=0) as here:
        await arrive(here, "ada")
        bob = await here.enter("a", identity="bob", presence=2, presence_events=True)
        cleo = await arrive(here, "cleo", 3)
        cleo.leave()
        await trio.sleep(1)
        assert told(bob) == ["here ada=1", "join bob=2", "join cleo=3", "leave cleo=3"]


async def test_what_is_said_of_somebody_can_change(autojump_clock: MockClock) -> None:
    """By the subscription, and by a newer connection; what stays the same is not told."""
    async with stage() as here:
        watcher = await here.enter("a", presence_events=True)
        ada = await here.enter(identity="ada")
        subscription = await here.hub.subscribe(ada.websocket, "a", identity="ada", presence="here")
        assert subscription.presence == "here"
        subscription.presence = "here"
        subscription.presence = "typing"
        await arrive(here, "ada", "typing")
        await arrive(here, "ada", "on the phone")
        assert subscription.presence == "on the phone"
        await wait_all_tasks_blocked()
        assert told(watcher) == ["here", "join ada=here", "update ada=typing", "update ada=on the phone"]
        subscription.presence = None
        assert subscription.presence is None
        assert [member.connections for member in await here.hub.presence("a")] == [2]
        with pytest.raises(ValueError, match="is not present in 'a'"):
            subscription.presence = "again"


async def test_a_value_that_was_changed_in_place_is_another(autojump_clock: MockClock) -> None:
    """To fetch it, change it and assign it again is the likeliest way to change a part; everybody is told."""
    async with stage() as here:
        watcher = await here.enter("a", presence_events=True)
        ada = await here.enter()
        subscription = await here.hub.subscribe(ada.websocket, "a", identity="ada", presence={"x": 1})
        said = subscription.presence
        said["x"] = 2
        subscription.presence = said
        subscription.presence = {"x": 2}
        await wait_all_tasks_blocked()
        assert told(watcher) == ["here", "join ada={'x': 1}", "update ada={'x': 2}"]


async def test_what_cannot_be_said(autojump_clock: MockClock) -> None:
    """What is no JSON is an error of the program, and nothing has changed."""
    async with stage() as here:
        ada = await here.enter()
        with pytest.raises(TypeError):
            await here.hub.subscribe(ada.websocket, "a", presence=object())
        assert here.hub.statistics().subscriptions == 0
        subscription = await here.hub.subscribe(ada.websocket, "a", presence=1)
        with pytest.raises(TypeError):
            subscription.presence = object()
        assert subscription.presence == 1
        other = await here.hub.subscribe(ada.websocket, "b")
        assert other.presence is None
        with pytest.raises(ValueError, match="subscribe it with `presence=...`"):
            other.presence = 1


async def test_a_watcher_that_missed_something_gets_everybody_anew(autojump_clock: MockClock) -> None:
    """Changes that were dropped are made good with the list, in their place."""
    for envelope in (None, StandardEnvelope()):
        async with stage(overflow=Overflow.DROP_OLDEST, capacity=2, presence_grace=0) as here:
            watcher = await here.enter("a", presence_events=True, envelope=envelope)
            watcher.stall()
            for name in "abcde":
                await arrive(here, name)
                await wait_all_tasks_blocked()
            watcher.resume()
            assert told(watcher) == ["here", "join a=1", "here a=1 b=1 c=1 d=1 e=1", "join d=1", "join e=1"]
            assert here.hub.statistics("a").dropped == here.hub.statistics().dropped == 2


@pytest.mark.parametrize("overflow", [Overflow.LATEST, Overflow.BLOCK])
async def test_changes_are_neither_conflated_nor_waited_for(overflow: Overflow, autojump_clock: MockClock) -> None:
    """Where messages would be conflated, each change is its own; where publishers wait, nobody waits for these."""
    async with stage(overflow=overflow, capacity=3) as here:
        watcher = await here.enter("a", presence_events=True)
        watcher.stall()
        for name in "abcd":
            await arrive(here, name)
            await wait_all_tasks_blocked()
        assert here.hub.statistics().waiting == 3
        await arrive(here, "e")
        await wait_all_tasks_blocked()
        assert trio.current_time() == 0
        if overflow is Overflow.BLOCK:
            assert watcher.close_code == 1013
        else:
            watcher.resume()
            assert told(watcher)[-3:] == ["join c=1", "join d=1", "join e=1"]


class Short(StandardEnvelope):
    def presence(self, event: PresenceEvent) -> Any:
        return f"{event.event} {len(event.members)} in {event.topic}"


async def test_an_envelope_shapes_presence_too(autojump_clock: MockClock) -> None:
    """What its method returns is sent, once made for all."""
    async with stage() as here:
        watchers = [await here.enter("a", presence_events=True, envelope=Short()) for _ in range(3)]
        await arrive(here, "ada")
        await wait_all_tasks_blocked()
        for watcher in watchers:
            assert watcher.got == ["here 0 in a", "join 1 in a"]


async def test_a_topic_is_there_while_somebody_may_come_back(autojump_clock: MockClock) -> None:
    """It is forgotten with the last who is present, and a hub that stops waits for nobody."""
    async with stage(presence_grace=10) as here:
        ada = await arrive(here, "ada")
        ada.leave()
        assert here.hub.statistics().topics == 1
        await trio.sleep(11)
        assert here.hub.statistics().topics == 0
        bob, cleo = await arrive(here, "bob"), await arrive(here, "cleo")
        bob.leave()
    cleo.leave()
    assert_empty(here.hub)
    with pytest.raises(WebSocketStateError, match="does not run"):
        await here.hub.presence("a")


async def test_presence_over_connections(make_room: Any, autojump_clock: MockClock) -> None:
    """A client that vanishes is present for the grace, and then the others are told."""
    room: Room = make_room(presence_grace=5)
    async with room.join() as watcher:
        await room.hub.subscribe(watcher.websocket, "a", presence_events=True)
        assert json.loads(await watcher.client.receive())["members"] == []
        async with room.join() as ada:
            await room.hub.subscribe(ada.websocket, "a", identity="ada", presence={"name": "Ada"})
            assert json.loads(await watcher.client.receive()) == {
                "topic": "a",
                "presence": "join",
                "members": [{"identity": "ada", "data": {"name": "Ada"}}],
            }
            assert await room.hub.presence("a") == [Member("ada", {"name": "Ada"}, 1)]
            left_at = trio.current_time()
            ada.client.vanish()
            watcher.client.deadline = 20
            assert json.loads(await watcher.client.receive())["presence"] == "leave"
            assert trio.current_time() - left_at == pytest.approx(5, abs=1.5)


async def test_direct_messages_come_after_presence(autojump_clock: MockClock) -> None:
    """What an endpoint sends to its own client does not overtake the news that came before."""
    async with stage() as here:
        watcher = await here.enter("a", presence_events=True)
        await wait_all_tasks_blocked()
        subscription = await here.hub.subscribe(watcher.websocket, "a")
        assert subscription.presence is None
        await arrive(here, "ada")
        assert watcher.mailbox.catch_up()
        assert told(watcher) == ["here", "join ada=1"]


def test_a_grace_is_a_time() -> None:
    """Less than nothing is a mistake."""
    with pytest.raises(ValueError, match="presence_grace"):
        Hub(presence_grace=-1)
