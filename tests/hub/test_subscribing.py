"""Who gets what: subscribe, unsubscribe, and the errors of those who call them at the wrong time."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

from tests.hub.fakes import stage
from tests.hub.rooms import Room, numbers
from wsframework import App, Hub, WebSocket, WebSocketDisconnect, WebSocketStateError
from wsframework.hub.place import Place
from wsframework.testing import connect


async def test_a_subscriber_gets_what_is_published_and_others_do_not(room: Room, autojump_clock: MockClock) -> None:
    """broadcast reaches who has subscribed to that topic and nobody else."""
    async with room.join("news") as ada, room.join("sport") as bob, room.join() as cleo:
        receipt = await room.hub.broadcast("news", "hello")
        assert await ada.client.receive() == "hello"
        await bob.client.receive_nothing()
        await cleo.client.receive_nothing()
        assert numbers(receipt) == (1, 0, 0, 0)


async def test_one_client_may_subscribe_to_many_topics(room: Room, autojump_clock: MockClock) -> None:
    """A client has one subscription per topic, each of its own."""
    async with room.join("news", "sport") as ada:
        statistics = room.hub.statistics()
        assert (statistics.topics, statistics.subscribers, statistics.subscriptions) == (2, 1, 2)
        await room.hub.broadcast("sport", "1:0")
        assert await ada.client.receive() == "1:0"
        await room.hub.unsubscribe(ada.websocket, "sport")
        await room.hub.broadcast("sport", "2:0")
        await room.hub.broadcast("news", "hello")
        assert await ada.client.receive() == "hello"


async def test_subscribing_twice_is_subscribing_once(room: Room, autojump_clock: MockClock) -> None:
    """A message arrives once however often its receiver has subscribed, and one unsubscribe ends that."""
    async with room.join("news", "news") as ada:
        assert room.hub.statistics().subscriptions == 1
        await room.hub.broadcast("news", "hello")
        assert await ada.client.receive() == "hello"
        await ada.client.receive_nothing()
        await room.hub.unsubscribe(ada.websocket, "news")
        assert numbers(await room.hub.broadcast("news", "again")) == (0, 0, 0, 0)


async def test_unsubscribe_without_a_subscription_does_nothing(room: Room, autojump_clock: MockClock) -> None:
    """unsubscribe is content when there is nothing to end: no such topic, no such subscriber, or not this one."""
    async with room.join("news") as ada, room.join() as bob:
        await room.hub.unsubscribe(ada.websocket, "sport")
        await room.hub.unsubscribe(bob.websocket, "news")
        await room.hub.subscribe(bob.websocket, "sport")
        await room.hub.unsubscribe(bob.websocket, "news")
        await room.hub.unsubscribe(bob.websocket, "sport")
        await room.hub.unsubscribe(bob.websocket, "sport")
        await room.hub.broadcast("news", "hello")
        assert await ada.client.receive() == "hello"
        await bob.client.receive_nothing()


async def test_a_topic_without_subscribers_is_forgotten(room: Room, autojump_clock: MockClock) -> None:
    """The hub keeps a topic for as long as somebody subscribes to it."""
    async with room.join("news") as ada, room.join("news") as bob:
        await room.hub.unsubscribe(ada.websocket, "news")
        assert room.hub.statistics().topics == 1
        await room.hub.unsubscribe(bob.websocket, "news")
        assert room.hub.statistics().topics == 0


async def test_a_topic_that_comes_back_starts_anew() -> None:
    """Who subscribes to a topic that was just forgotten gets nothing of its earlier life, and all of its new one."""
    async with stage() as here:
        ada = await here.enter("news")
        early = here.hub.broadcast_nowait("news", "early")
        await here.hub.unsubscribe(ada.websocket, "news")
        bob = await here.enter("news")
        late = here.hub.broadcast_nowait("news", "late")
        assert (numbers(early), numbers(late)) == ((1, 0, 0, 0), (1, 0, 0, 0))
        assert (ada.got, bob.got) == (["early"], ["late"])


async def test_what_was_published_before_unsubscribe_still_arrives() -> None:
    """unsubscribe ends what is to come, not what is on its way in this very tick."""
    async with stage() as here:
        ada = await here.enter("news")
        bob = await here.enter("news")
        await trio.lowlevel.checkpoint()
        with trio.CancelScope() as no_tick:  # unsubscribe has a checkpoint, in which the pump may run
            receipt = here.hub.broadcast_nowait("news", "before")
            no_tick.cancel()
            await here.hub.unsubscribe(ada.websocket, "news")
        assert no_tick.cancelled_caught
        await here.hub.unsubscribe(ada.websocket, "news")
        here.hub.broadcast_nowait("news", "after")
        assert numbers(receipt) == (2, 0, 0, 0)
        await here.hub.unsubscribe(bob.websocket, "news")
        assert (ada.got, bob.got) == (["before"], ["before", "after"])


async def test_a_subscriber_can_unsubscribe_with_a_message_of_this_tick_on_its_way() -> None:
    """The message is offered by unsubscribe itself when the pump has not come to it, and not once more by the pump."""
    async with stage() as here:
        ada, bob = await here.enter("news"), await here.enter("news")

        async def publish() -> None:
            here.hub.broadcast_nowait("news", "hello")

        for _ in range(20):  # trio runs the two in any order
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish)
                nursery.start_soon(here.hub.unsubscribe, ada.websocket, "news")
            await here.hub.subscribe(ada.websocket, "news")
        assert len(bob.got) == 20
        assert len(ada.got) <= 20


async def test_one_who_joins_in_the_middle_of_a_tick_sees_what_follows(room: Room, autojump_clock: MockClock) -> None:
    """A subscription begins when subscribe returns, also with publications of the same tick on both sides of it."""
    async with room.join("news") as ada, room.join() as bob, room.join() as cleo:
        subscriber = room.hub.subscribe
        room.hub.broadcast_nowait("news", "1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(subscriber, cleo.websocket, "news")
        room.hub.broadcast_nowait("news", "2")
        await subscriber(bob.websocket, "news")
        room.hub.broadcast_nowait("news", "3")
        assert await ada.receive(3) == ["1", "2", "3"]
        assert await cleo.receive(2) == ["2", "3"]
        assert await bob.receive(1) == ["3"]
        await bob.client.receive_nothing()


async def test_a_topic_delivers_to_a_late_subscriber_from_its_own_beginning() -> None:
    """Publications that were pending when somebody subscribed are not for the newcomer, whoever delivers them."""
    async with stage() as here:
        ada = await here.enter("news")
        bob = await here.enter("sport")
        first = here.hub.broadcast_nowait("news", "1")
        # subscribe lets the pump run, so what it does then is done here without that
        topic = ada.mailbox.places["news"].topic
        bob.mailbox.places["news"] = Place(topic, bob.mailbox, bob.mailbox.places["sport"].lane)
        topic.go_live(bob.mailbox.places["news"])
        second = here.hub.broadcast_nowait("news", "2")
        assert (numbers(first), numbers(second)) == ((1, 0, 0, 0), (2, 0, 0, 0))
        assert (ada.got, bob.got) == (["1", "2"], ["2"])


async def test_subscribe_and_unsubscribe_are_checkpoints(room: Room, autojump_clock: MockClock) -> None:
    """Both can be cancelled and let others run, and a cancelled subscribe has not subscribed."""
    async with room.join() as ada:
        with assert_checkpoints():
            await room.hub.subscribe(ada.websocket, "news")
        with assert_checkpoints():
            await room.hub.unsubscribe(ada.websocket, "news")
        with trio.CancelScope() as scope:
            scope.cancel()
            await room.hub.subscribe(ada.websocket, "news")
        assert room.hub.statistics().subscriptions == 0


@pytest.mark.parametrize("name", ["", None, 7, b"news", ["news"], ("news",)])
async def test_a_topic_is_named_by_a_string(room: Room, name: Any, autojump_clock: MockClock) -> None:
    """What is no name is a TypeError at the caller, wherever a topic is named."""
    async with room.join() as ada:
        with pytest.raises(TypeError, match="a topic is named by a string that is not empty"):
            await room.hub.subscribe(ada.websocket, name)
        with pytest.raises(TypeError, match="a topic is named by a string that is not empty"):
            await room.hub.broadcast(name, "hello")
        with pytest.raises(TypeError, match="a topic is named by a string that is not empty"):
            room.hub.broadcast_nowait(name, "hello")


async def test_subscribe_before_accept_says_what_to_do(autojump_clock: MockClock) -> None:
    """A connection that is not accepted cannot get messages, so it cannot subscribe."""
    app = App()

    @app.websocket("/")
    async def hasty(websocket: WebSocket) -> None:
        with pytest.raises(WebSocketStateError, match=r"call `await websocket.accept\(\)` first"):
            await app.hub.subscribe(websocket, "news")
        assert app.hub.statistics().subscribers == 0
        await websocket.accept()
        await app.hub.subscribe(websocket, "news")
        await app.hub.broadcast("news", "hello")
        await websocket.receive_text()

    async with connect(app) as client:
        assert await client.receive() == "hello"


async def test_subscribe_after_the_end_raises_the_end(room: Room, autojump_clock: MockClock) -> None:
    """Who has left cannot subscribe any more; the error tells how it left."""
    async with room.join() as ada:
        await ada.client.close(4001, "enough")
        with pytest.raises(WebSocketDisconnect, match="enough") as caught:
            await room.hub.subscribe(ada.websocket, "news")
        assert caught.value.code == 4001
        await room.hub.unsubscribe(ada.websocket, "news")


async def test_a_hub_that_does_not_run_says_so(make_room: Callable[..., Room], autojump_clock: MockClock) -> None:
    """Nothing would be delivered, so subscribing and publishing are errors."""
    other = Hub()
    async with make_room().join() as ada:
        with pytest.raises(WebSocketStateError, match="the hub does not run"):
            await other.subscribe(ada.websocket, "news")
        with pytest.raises(WebSocketStateError, match="the hub does not run"):
            await other.broadcast("news", "hello")
        with pytest.raises(WebSocketStateError, match="the hub does not run"):
            other.broadcast_nowait("news", "hello")
        await other.unsubscribe(ada.websocket, "news")


async def test_a_client_has_one_hub(room: Room, autojump_clock: MockClock) -> None:
    """Two hubs could not keep one order between them, so the second is refused."""
    async with room.join("news") as ada:
        other = Hub()
        async with other.running():
            with pytest.raises(WebSocketStateError, match="subscribed to another hub"):
                await other.subscribe(ada.websocket, "news")
        await room.hub.broadcast("news", "hello")
        assert await ada.client.receive() == "hello"


async def test_a_websocket_without_a_session_cannot_subscribe(autojump_clock: MockClock) -> None:
    """Nobody would end the subscription of a WebSocket that was made by hand, so it is refused."""
    hub = Hub()

    async def by_hand(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            websocket = WebSocket(scope, receive, send)
            await websocket.accept()
            with pytest.raises(WebSocketStateError, match="needs a WebSocketRoute"):
                await hub.subscribe(websocket, "news")
            await websocket.send_text("refused")

    async with hub.running(), connect(by_hand) as client:
        assert await client.receive() == "refused"
    assert hub.statistics().subscribers == 0
