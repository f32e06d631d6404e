"""Who is who: messages to identities, disconnecting them, and asking whether a client may have a topic."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from tests.hub.fakes import stage
from tests.hub.rooms import Room, numbers
from wsframework import App, CloseCode, Hub, SubscriptionRefused, WebSocket, WebSocketStateError
from wsframework.testing import connect


async def test_a_message_to_identities_reaches_all_their_connections() -> None:
    """Of those who subscribe to the topic, only they get it, behind or not."""
    async with stage() as here:
        ada, ada_too = await here.enter("a", identity="ada"), await here.enter("a", identity="ada")
        bob, nobody = await here.enter("a", identity="bob"), await here.enter("a")
        elsewhere = await here.enter("b", identity="ada")
        ada_too.stall()
        receipts = [
            *here.publish("a", "1"),
            *here.publish("a", "2", to="ada"),
            *here.publish("a", "3", to={"ada", "bob", "cleo"}),
            *here.publish("a", "4", to=[]),
            *here.publish("a", "5", to=["ada"], exclude=ada.websocket),
        ]
        ada_too.resume()
        assert [receipt.delivered + receipt.queued for receipt in receipts] == [4, 2, 3, 0, 1]
        assert ada.got == ["1", "2", "3"]
        assert ada_too.got == ["1", "2", "3", "5"]
        assert bob.got == ["1", "3"]
        assert nobody.got == ["1"]
        assert elsewhere.got == []


async def test_disconnect_closes_every_connection_of_an_identity(room: Room, autojump_clock: MockClock) -> None:
    """They get what was published before, and the code and reason; the others stay."""
    async with room.join() as ada, room.join() as ada_too, room.join("a") as bob:
        for member in (ada, ada_too):
            await room.hub.subscribe(member.websocket, "a", identity="ada")
        room.hub.broadcast_nowait("a", "before")
        assert room.hub.disconnect(identity="ada", code=4003, reason="signed out") == 2
        for member in (ada, ada_too):
            assert await member.client.receive() == "before"
            end = await member.client.wait_closed()
            assert (end.code, end.reason) == (4003, "signed out")
        assert await bob.client.receive() == "before"
        assert room.hub.disconnect(identity="ada") == 0
        assert room.hub.disconnect(identity="nobody") == 0
        assert room.hub.statistics().subscribers == 1


async def test_disconnect_takes_a_code_that_may_travel() -> None:
    """A wrong one is an error of the program, and nobody is disconnected."""
    async with stage() as here:
        ada = await here.enter("a", identity="ada")
        with pytest.raises(ValueError, match="1005"):
            here.hub.disconnect(identity="ada", code=CloseCode.NO_STATUS_RECEIVED)
        assert ada.close_code is None


async def test_a_connection_has_one_identity() -> None:
    """It may be said again, and not changed."""
    async with stage() as here:
        ada = await here.enter("a", "b", identity="ada")
        with pytest.raises(ValueError, match="is 'ada' already, so it cannot become 'bob'"):
            await here.hub.subscribe(ada.websocket, "c", identity="bob")
        assert here.hub.statistics().subscriptions == 2


@pytest.mark.parametrize("name", ["x" * 256, "ü" * 128, "a\nb", "\x00", "a\x7f", "\x85", "lone \ud800"])
async def test_a_name_that_cannot_be_one(name: str) -> None:
    """Too long or with control characters: a ValueError for who names it in the program."""
    async with stage() as here:
        ada = await here.enter()
        for call in (
            lambda: here.hub.subscribe(ada.websocket, name),
            lambda: here.hub.broadcast(name, "hello"),
        ):
            with pytest.raises(ValueError, match="a topic's name"):
                await call()
        with pytest.raises(ValueError, match="a topic's name"):
            here.hub.broadcast_nowait(name, "hello")
        assert here.hub.statistics().subscribers == 0


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "a b", "räum/7:*?#", "🐎", "\u202e"])
async def test_a_name_that_can_be_one(name: str) -> None:
    """Anything else that is a string. There are no wildcards, so a star is a star."""
    async with stage() as here:
        ada = await here.enter(name)
        here.publish(name, "hello")
        assert ada.got == ["hello"]


async def test_a_client_has_so_many_topics(autojump_clock: MockClock) -> None:
    """One more is refused, and if the endpoint does not catch that, the client is closed with 1008."""
    app = App(hub=Hub(max_topics=3))

    @app.websocket("/")
    async def greedy(websocket: WebSocket) -> None:
        await websocket.accept()
        async for name in websocket.iter_text():
            await app.hub.subscribe(websocket, name)
            await app.hub.subscribe(websocket, name)
            await websocket.send_text("ok")

    async with connect(app) as client:
        for name in "abc":
            await client.send(name)
            assert await client.receive() == "ok"
        await client.send("a")
        assert await client.receive() == "ok"
        await client.send("d")
        end = await client.wait_closed()
        assert (end.code, end.reason) == (1008, "this client has 3 subscriptions, which is the limit")


async def test_a_client_may_have_what_authorize_says(autojump_clock: MockClock) -> None:
    """It is asked for each wish; what cannot be a topic's name is refused before."""
    asked = []

    async def authorize(websocket: WebSocket, topic: str) -> bool:
        asked.append(topic)
        return topic.startswith(f"{websocket.path_params['name']}:")

    app = App(hub=Hub(authorize=authorize))

    @app.websocket("/{name}")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        async for wish in websocket.iter_json():
            try:
                subscription = await app.hub.subscribe(websocket, wish, authorize=True)
            except SubscriptionRefused as refused:
                await websocket.send_text(refused.reason)
            else:
                await websocket.send_text(f"here is {subscription.topic}")

    async with connect(app, "/ada") as client:
        for wish, answer in [
            ("ada:inbox", "here is ada:inbox"),
            ("bob:inbox", "this client may not have that topic"),
            ("a\nb", "that cannot be the name of a topic"),
            ({}, "that cannot be the name of a topic"),
            ("", "that cannot be the name of a topic"),
        ]:
            await client.send_json(wish)
            assert await client.receive() == answer
        assert asked == ["ada:inbox", "bob:inbox"]
        assert app.hub.statistics().subscriptions == 1


async def test_nobody_says_yes_where_nobody_is_asked() -> None:
    """A hub without authorize refuses to ask it, and says what is missing."""
    async with stage() as here:
        ada = await here.enter()
        with pytest.raises(WebSocketStateError, match=r"Hub\(authorize=\.\.\.\)"):
            await here.hub.subscribe(ada.websocket, "a", authorize=True)
        assert here.hub.statistics().subscribers == 0


@pytest.mark.parametrize("options", [{"max_topics": 0}, {"block_timeout": 0}, {"block_timeout": float("nan")}])
def test_the_other_bounds_of_a_hub(options: dict[str, Any]) -> None:
    """They are above zero."""
    with pytest.raises(ValueError, match="above zero"):
        Hub(**options)


async def test_statistics_of_a_topic_that_nobody_has() -> None:
    """Nothing is there, and asking makes nothing."""
    async with stage() as here:
        statistics = here.hub.statistics("nowhere")
        assert (statistics.subscriptions, statistics.published, statistics.dropped) == (0, 0, 0)
        assert here.hub.statistics().topics == 0
        here.publish("nowhere", "hello")
        assert numbers(here.hub.broadcast_nowait("nowhere", "hello")) == (0, 0, 0, 0)
        assert here.hub.statistics().published == 2
