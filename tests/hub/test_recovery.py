"""A client that was away resumes: without a gap, without doubles, or it is told that it cannot."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.fakes import stage, tell
from tests.hub.rooms import NARROW, Room
from wsframework import History, Overflow, Position, StandardEnvelope, Subscription, WebSocketDisconnect
from wsframework.hub.registry import Registry
from wsframework.hub.replay import Replay


async def test_what_was_missed_comes_first_and_then_what_follows(autojump_clock: MockClock) -> None:
    """Everything behind the position, in order and once, also what is pending in this very tick."""
    async with stage(history=History()) as here:
        ada = await here.enter("a")
        subscription = await here.hub.subscribe(ada.websocket, "a")
        assert not subscription.recovered
        here.publish("a", "1", "2")
        position = subscription.position
        ada.leave()
        assert subscription.position == position
        here.publish("a", "3", "4")
        bob = await here.enter()
        here.hub.broadcast_nowait("a", "5")
        resumed = await here.hub.subscribe(bob.websocket, "a", since=position, on_gap=tell)
        assert resumed.recovered
        here.hub.broadcast_nowait("a", "6")
        await wait_all_tasks_blocked()
        assert bob.got == ["3", "4", "5", "6"]
        assert resumed.position.offset == 6


@pytest.mark.parametrize("history", [None, History()])
async def test_who_missed_nothing_has_recovered(history: History | None, autojump_clock: MockClock) -> None:
    """Also where nothing is remembered, as long as the topic lives."""
    async with stage(history=history) as here:
        await here.enter("a")
        ada, bob = await here.enter(), await here.enter()
        subscription = await here.hub.subscribe(ada.websocket, "a")
        here.publish("a", "1")
        resumed = await here.hub.subscribe(bob.websocket, "a", since=subscription.position)
        assert resumed.recovered
        assert bob.got == []


@pytest.mark.parametrize(
    ("epoch", "offset"), [("other", 2), (None, 0), (None, 99), (None, -5)], ids=["epoch", "forgotten", "future", "past"]
)
async def test_who_cannot_recover_is_told(epoch: str | None, offset: int, autojump_clock: MockClock) -> None:
    """It gets nothing of what is remembered, so that a part is not taken for the whole, and then what follows."""
    async with stage(history=History(size=2)) as here:
        here.publish("a", "1", "2", "3")
        real = await here.hub.latest("a")
        assert real is not None
        ada = await here.enter()
        position = Position(epoch or real.position.epoch, offset)
        subscription = await here.hub.subscribe(ada.websocket, "a", since=position, on_gap=tell)
        assert not subscription.recovered
        here.publish("a", "4")
        assert ada.got == [f"[None after {offset}]", "4"]


async def test_a_client_takes_what_it_missed_at_its_own_pace(autojump_clock: MockClock) -> None:
    """Whatever is published meanwhile; its mailbox need not hold what the topic remembers."""
    async with stage(history=History(size=1000, max_bytes=10**8), capacity=2) as here:
        here.publish("a", *(f"{number}".ljust(40_000) for number in range(1, 11)))
        epoch = here.hub._registry.topics["a"].epoch
        ada = await here.enter()
        ada.room = 2
        async with trio.open_nursery() as nursery:

            async def resume() -> None:
                subscription = await here.hub.subscribe(ada.websocket, "a", since=Position(epoch, 1))
                assert subscription.recovered
                assert trio.current_time() >= 2

            nursery.start_soon(resume)
            for _ in range(3):
                await trio.sleep(1)
                here.publish("a", "meanwhile".ljust(40_000))
                assert here.hub.statistics().behind == 1
                ada.resume(room=2)
                await wait_all_tasks_blocked()
            ada.resume()
        here.publish("a", "live")
        got = [message.strip() for message in ada.got]
        assert got == [*map(str, range(2, 11)), *["meanwhile"] * 3, "live"]
        assert here.hub.statistics().disconnected == 0


async def test_one_whom_the_topic_outruns_has_not_recovered(autojump_clock: MockClock) -> None:
    """When it forgets faster than the client takes, the client is told what is missing, and goes on with the rest."""
    async with stage(history=History(size=4)) as here:
        here.publish("a", *(f"{number}".ljust(70_000) for number in range(1, 5)))
        epoch = here.hub._registry.topics["a"].epoch
        ada = await here.enter()
        ada.room = 1
        async with trio.open_nursery() as nursery:
            subscriptions = []

            async def resume() -> None:
                subscriptions.append(
                    await here.hub.subscribe(ada.websocket, "a", since=Position(epoch, 0), on_gap=tell)
                )

            nursery.start_soon(resume)
            await wait_all_tasks_blocked()
            here.publish("a", *(f"{number}".ljust(70_000) for number in range(5, 12)))
            ada.resume()
        assert not subscriptions[0].recovered
        here.publish("a", "live")
        assert [message.strip() for message in ada.got] == ["1", "2", "3", "4", "[7 after 4]", "live"]


@pytest.mark.parametrize("way", ["cancelled", "unsubscribed", "closed", "left"])
async def test_an_end_while_it_catches_up(way: str, autojump_clock: MockClock) -> None:
    """Nothing stays behind, and who closed learns of the end."""
    async with stage(history=History()) as here:
        here.publish("a", *["x" * 70_000] * 5)
        epoch = here.hub._registry.topics["a"].epoch
        ada = await here.enter()
        ada.stall()
        async with trio.open_nursery() as nursery:

            async def resume() -> None:
                if way in ("closed", "left"):
                    with pytest.raises(WebSocketDisconnect):
                        await here.hub.subscribe(ada.websocket, "a", since=Position(epoch, 0))
                else:
                    await here.hub.subscribe(ada.websocket, "a", since=Position(epoch, 0), presence=1)

            nursery.start_soon(resume)
            await wait_all_tasks_blocked()
            assert here.hub.statistics().subscriptions == 1
            match way:
                case "cancelled":
                    nursery.cancel_scope.cancel()
                case "unsubscribed":
                    await here.hub.unsubscribe(ada.websocket, "a")
                    ada.resume()
                case "closed":
                    ada.cut_off(4000)
                case "left":
                    ada.leave()
        assert here.hub.statistics().subscriptions == 0
        assert await here.hub.presence("a") == []
        assert here.hub._registry.topics["a"].joining == {}
        here.publish("a", "live")
        assert "live" not in ada.got


@pytest.mark.parametrize("way", ["taken", "first cancelled", "both cancelled", "unsubscribed", "left"])
async def test_a_second_call_while_it_catches_up_waits_too(way: str, autojump_clock: MockClock) -> None:
    """Neither call returns before the client is level; what ends the subscription ends both; one can be cancelled."""
    async with stage(history=History()) as here:
        here.publish("a", *(f"{number}".ljust(70_000) for number in range(1, 5)))
        since = Position(here.hub._registry.topics["a"].epoch, 0)
        ada = await here.enter()
        ada.room = 1
        returned: list[Subscription] = []
        scopes = [trio.CancelScope(), trio.CancelScope()]

        async def subscribe(scope: trio.CancelScope) -> None:
            with scope:
                returned.append(await here.hub.subscribe(ada.websocket, "a", since=since))

        async def raises() -> None:
            with pytest.raises(WebSocketDisconnect):
                await here.hub.subscribe(ada.websocket, "a", since=since)

        async with trio.open_nursery() as nursery:
            for scope in scopes:
                nursery.start_soon(raises) if way == "left" else nursery.start_soon(subscribe, scope)
                await wait_all_tasks_blocked()
            assert (returned, here.hub.statistics().subscriptions) == ([], 1)
            match way:
                case "taken":
                    ada.resume(room=1)
                    await wait_all_tasks_blocked()
                    assert returned == []
                case "first cancelled":
                    scopes[0].cancel()
                    await wait_all_tasks_blocked()
                    assert here.hub.statistics().subscriptions == 1
                case "both cancelled":
                    scopes[0].cancel()
                    scopes[1].cancel()
                    await wait_all_tasks_blocked()
                    assert here.hub.statistics().subscriptions == 0
                case "unsubscribed":
                    await here.hub.unsubscribe(ada.websocket, "a")
                case "left":
                    ada.leave()
            ada.resume()
        here.publish("a", "live")
        got = [message.strip() for message in ada.got]
        match way:
            case "taken" | "first cancelled":
                assert got == ["1", "2", "3", "4", "live"]
                assert [subscription.recovered for subscription in returned] == [True] * (2 if way == "taken" else 1)
                assert len(set(returned)) == 1
            case _:
                assert got == ["1"]
                assert here.hub.statistics().subscriptions == 0
                assert here.hub._registry.topics["a"].joining == {}


async def test_messages_for_others_are_not_recovered(autojump_clock: MockClock) -> None:
    """What was published to some identities is for them also when they come back."""
    async with stage(history=History()) as here:
        here.publish("a", "1")
        here.publish("a", "for bob", to="bob")
        here.publish("a", "for ada", to="ada")
        epoch = here.hub._registry.topics["a"].epoch
        ada = await here.enter()
        subscription = await here.hub.subscribe(ada.websocket, "a", since=Position(epoch, 0), identity="ada")
        assert subscription.recovered
        assert ada.got == ["1", "for ada"]


async def test_over_a_connection_that_breaks(make_room: Any, autojump_clock: MockClock) -> None:
    """The whole way: a client that keeps the position of its envelope, breaks in the middle, and resumes."""
    room: Room = make_room(history=History(ttl=5))
    envelope = StandardEnvelope()
    async with room.join("a") as witness:
        async with room.join(window=NARROW) as ada:
            await room.hub.subscribe(ada.websocket, "a", envelope=envelope)
            for number in range(10):
                await room.hub.broadcast("a", {"number": number})
            seen = [json.loads(message) for message in await ada.receive(4)]
            ada.client.vanish()
        await room.hub.broadcast("a", {"number": 10})
        async with room.join(window=NARROW) as ada:
            since = msgspec.convert(seen[-1], Position)  # what else is in the object is ignored
            subscription = await room.hub.subscribe(ada.websocket, "a", since=since, envelope=envelope)
            assert subscription.recovered
            await room.hub.broadcast("a", {"number": 11})
            seen += [json.loads(message) for message in await ada.receive_rest()]
        assert [message["data"]["number"] for message in seen] == list(range(12))
        assert len(await witness.receive(12)) == 12
        await trio.sleep(10)


async def test_one_who_leaves_before_it_has_begun_to_catch_up(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The caller learns of the end also when it came within the first tick, and gets no subscription that has ended."""
    catch_up = Registry.catch_up

    async def leave_first(registry: Registry, replay: Replay) -> None:
        ada.leave()
        await catch_up(registry, replay)

    monkeypatch.setattr(Registry, "catch_up", leave_first)
    async with stage(history=History()) as here:
        here.publish("a", "1")
        since = Position(here.hub._registry.topics["a"].epoch, 0)
        ada = await here.enter("b")
        with pytest.raises(WebSocketDisconnect):
            await here.hub.subscribe(ada.websocket, "a", since=since)


# The newest first


async def test_one_who_joins_may_begin_with_the_newest(autojump_clock: MockClock) -> None:
    """The last publication, or with keys the last of each, in their order; then what follows."""
    async with stage(history=History()) as here:
        here.publish("a", "1", "2")
        for key in "xyx":
            here.publish("prices", f"{key} {here.hub.statistics().published}", key=key)
        ada = await here.enter("a", "prices", "empty", latest=True)
        here.publish("prices", "live", key="y")
        assert ada.got == ["2", "y 3", "x 4", "live"]


async def test_the_newest_for_somebody_else_hides_nothing(autojump_clock: MockClock) -> None:
    """One begins with the newest that it would have got, of each key likewise."""
    async with stage(history=History()) as here:
        here.publish("a", "1", "2")
        here.publish("a", "for bob", to="bob")
        here.publish("prices", "x 1", "x 2", key="x")
        here.publish("prices", "x for bob", to=["bob", "cleo"], key="x")
        here.publish("prices", "y for bob", to="bob", key="y")
        ada = await here.enter("a", "prices", latest=True, identity="ada")
        bob = await here.enter("a", "prices", latest=True, identity="bob")
        assert ada.got == ["2", "x 2"]
        assert bob.got == ["for bob", "x for bob", "y for bob"]


async def test_resume_or_else_the_newest(autojump_clock: MockClock) -> None:
    """With both, the newest comes only if not everything can be recovered."""
    async with stage(history=History(size=2)) as here:
        here.publish("a", "1", "2", "3")
        epoch = here.hub._registry.topics["a"].epoch
        ada, bob = await here.enter(), await here.enter()
        both: dict[str, Any] = {"latest": True, "on_gap": tell}
        assert (await here.hub.subscribe(ada.websocket, "a", since=Position(epoch, 1), **both)).recovered
        assert not (await here.hub.subscribe(bob.websocket, "a", since=Position(epoch, 0), **both)).recovered
        assert ada.got == ["2", "3"]
        assert bob.got == ["[None after 0]", "3"]


@pytest.mark.parametrize("since", ["epoch:1", ("epoch", 1), 1], ids=repr)
async def test_a_position_that_is_none(since: Any, autojump_clock: MockClock) -> None:
    """The text of one is not taken for one, wherever it is given, and the error says how to read it."""
    async with stage(history=History()) as here:
        ada = await here.enter()
        with pytest.raises(TypeError, match=r"since is a Position, which Position\.parse"):
            await here.hub.subscribe(ada.websocket, "a", since=since)
        with pytest.raises(TypeError, match=r"Position\.parse"):
            await here.hub.history("a", since=since)
        with pytest.raises(TypeError, match=r"Position\.parse"):
            async with here.hub.listen("a", since=since):
                raise AssertionError("entered")  # pragma: no cover
        assert here.hub.statistics().subscriptions == 0


async def test_what_cannot_be_asked_for(autojump_clock: MockClock) -> None:
    """A conflated stream has no places, and a topic that remembers nothing has no newest."""
    async with stage(history={"a": History()}) as here:
        ada = await here.enter()
        with pytest.raises(ValueError, match="use latest=True"):
            await here.hub.subscribe(ada.websocket, "a", since=Position("x", 0), overflow=Overflow.LATEST)
        with pytest.raises(ValueError, match="remembers nothing"):
            await here.hub.subscribe(ada.websocket, "b", latest=True)
        assert here.hub.statistics().subscriptions == 0
