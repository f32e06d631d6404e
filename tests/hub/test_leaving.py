"""Subscriptions leave with their connection, in every way in which it can end."""

import gc
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.fakes import stage
from tests.hub.rooms import NARROW, Member, Room, assert_empty
from wsframework import (
    App,
    CloseCode,
    Envelope,
    Gap,
    Limits,
    Overflow,
    Published,
    WebSocket,
    WebSocketDisconnect,
    WebSocketEndpoint,
)
from wsframework.hub.subscriber import Subscriber
from wsframework.testing import connect


async def client_closes(member: Member) -> None:
    member.client.resume()
    await member.client.close(4000)


async def client_vanishes(member: Member) -> None:
    member.client.vanish()


async def client_stalls_and_vanishes(member: Member) -> None:
    member.client.stall()
    member.client.vanish()


async def server_closes(member: Member) -> None:
    await member.websocket.close(4000)


async def server_closes_a_frozen_client(member: Member) -> None:
    member.client.stall()
    await member.websocket.close(4000)


async def client_breaks_the_protocol(member: Member) -> None:
    await member.client.send_bytes(b"this room takes text")


ENDS = [
    client_closes,
    client_vanishes,
    client_stalls_and_vanishes,
    server_closes,
    server_closes_a_frozen_client,
    client_breaks_the_protocol,
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("behind", [False, True], ids=["keeping up", "behind"])
async def test_subscriptions_end_with_the_connection(
    room: Room, end: Callable[[Member], Awaitable[None]], behind: bool, autojump_clock: MockClock
) -> None:
    """Nothing of a client is left in the hub soon after it has gone, whether messages waited for it or not."""
    async with room.join("news", "sport", window=NARROW) as ada, room.join("news") as bob:
        if behind:
            await ada.freeze()
            room.publish("news", *map(str, range(10)))
            assert room.hub.statistics().waiting == 9 + 8  # bob's too: nothing was sent yet
            assert await bob.receive(10) == list(map(str, range(10)))
        await end(ada)
        await trio.sleep(1.1)  # the grace of a session
        statistics = room.hub.statistics()
        assert (statistics.topics, statistics.subscriptions, statistics.waiting) == (1, 1, 0)
        await room.hub.broadcast("news", "still here")
        assert await bob.client.receive() == "still here"


async def test_the_subscriptions_of_a_failed_endpoint_end(autojump_clock: MockClock) -> None:
    """An endpoint that raises leaves its topics, and what it had published before reaches its client."""
    app = App()

    @app.websocket("/")
    async def broken(websocket: WebSocket) -> None:
        await websocket.accept()
        await app.hub.subscribe(websocket, "news")
        await app.hub.broadcast("news", "last words")
        raise LookupError("the endpoint is broken")

    async with connect(app, raise_app_errors=False) as client:
        assert await client.receive() == "last words"
        assert (await client.wait_closed()).code == CloseCode.INTERNAL_ERROR
        assert_empty(app.hub)


async def test_the_subscriptions_of_an_endpoint_that_returns_end(autojump_clock: MockClock) -> None:
    """An endpoint that just returns leaves its topics; what it had published arrives before the close frame."""
    app = App()

    @app.websocket("/")
    async def brief(websocket: WebSocket) -> None:
        await websocket.accept()
        await app.hub.subscribe(websocket, "news")
        await app.hub.broadcast("news", "last words")

    async with connect(app) as client:
        assert await client.receive() == "last words"
        assert (await client.wait_closed()).code == CloseCode.NORMAL_CLOSURE
        assert_empty(app.hub)


async def test_the_subscriptions_of_a_cancelled_endpoint_end(autojump_clock: MockClock) -> None:
    """A server that is cancelled leaves nothing in the hub."""
    app = App()
    scope = trio.CancelScope()

    @app.websocket("/")
    async def patient(websocket: WebSocket) -> None:
        await websocket.accept()
        await app.hub.subscribe(websocket, "news")
        with scope:
            await trio.sleep_forever()
        await websocket.send_text("cancelled")

    async with connect(app) as client:
        await wait_all_tasks_blocked()
        assert app.hub.statistics().subscribers == 1
        scope.cancel()
        assert await client.receive() == "cancelled"
    assert_empty(app.hub)


async def test_one_who_has_left_is_no_subscriber_in_on_disconnect(autojump_clock: MockClock) -> None:
    """on_disconnect can tell the others; the leaver is not among them any more, and cannot subscribe again."""
    app = App()
    seen: list[tuple[int, int]] = []

    @app.websocket("/{name}")
    class Leaver(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "news")
            await websocket.send_text("welcome")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            receipt = await self.hub.broadcast("news", f"{websocket.path_params['name']} has left")
            seen.append((receipt.delivered, self.hub.statistics().subscribers))
            with pytest.raises(WebSocketDisconnect):
                await self.hub.subscribe(websocket, "news")

    async with connect(app, "/ada") as ada:
        await ada.receive()
        async with connect(app, "/bob") as bob:
            await bob.receive()
        assert await ada.receive() == "bob has left"
        assert seen == [(1, 1)]
    assert seen == [(1, 1), (0, 0)]


async def test_a_frozen_client_that_is_cut_off_takes_its_mailbox_along(
    make_room: Callable[..., Room], autojump_clock: MockClock
) -> None:
    """After the policy has disconnected a client, nothing waits for it, and its session ends although it is frozen."""
    room = make_room(capacity=4)
    async with room.join("news", window=NARROW) as ada:
        await ada.freeze()
        receipts = room.publish("news", *map(str, range(10)))
        assert [receipt.disconnected for receipt in receipts] == [0] * 5 + [1] + [0] * 4
        assert room.hub.statistics().waiting == 0
        await trio.sleep(2)  # the grace of its session
        assert room.hub.statistics().subscribers == 0


async def test_a_client_that_takes_nothing_is_cut_off_with_everything_that_waits(
    room: Room, autojump_clock: MockClock
) -> None:
    """The deadline of a write ends a frozen client also when its mailbox is not full."""
    async with room.join("news", window=NARROW, limits=Limits(write_timeout=3)) as ada:
        await ada.freeze()
        room.publish("news", *map(str, range(10)))
        await trio.sleep(2.9)
        assert room.hub.statistics().waiting == 9
        await trio.sleep(1.2)  # with the grace of its session
        assert room.hub.statistics().subscribers == 0
        assert ada.websocket.close_code == CloseCode.ABNORMAL_CLOSURE


@pytest.mark.parametrize("overflow", Overflow)
async def test_a_hundred_who_come_and_go_leave_nothing(
    make_room: Callable[..., Room], overflow: Overflow, autojump_clock: MockClock
) -> None:
    """After churn with stalls and vanishing clients the hub is as empty as at the start."""
    room = make_room(capacity=8, overflow=overflow)
    async with room.join("news") as witness:
        for number in range(100):
            async with room.join("news", "sport", window=NARROW) as member:
                if number % 2:
                    await member.freeze()
                room.publish("news", *map(str, range(number % 7)))
                await wait_all_tasks_blocked()
                if number % 3 == 0:
                    member.client.vanish()
        assert room.hub.statistics().subscribers == 1
        received = len(await witness.receive_rest())
        published = sum(number % 7 for number in range(100))
        # Without a key, what was published at once is conflated to the newest.
        assert published // 2 < received < published if overflow is Overflow.LATEST else received == published


async def test_nothing_keeps_the_mailbox_of_one_who_has_left(room: Room, autojump_clock: MockClock) -> None:
    """Mailboxes and what waited in them are freed, however the client left; nobody has to close a channel."""

    def mailboxes() -> int:
        gc.collect()
        dirty = room.hub._registry.pump.dirty
        return sum(type(thing) is Subscriber and thing._unsent is dirty for thing in gc.get_objects())

    for end in ENDS:
        async with room.join("news", window=NARROW) as ada:
            await ada.freeze()
            room.publish("news", *map(str, range(10)))
            assert mailboxes() == 1
            await end(ada)
        del ada
        assert mailboxes() == 0


# What the program does for one client fails at its end


@attrs.frozen
class BrokenEnvelope(Envelope):
    def publication(self, published: Published) -> Any:
        raise LookupError("a bug in an envelope")


def broken_on_gap(gap: Gap) -> Any:
    raise LookupError("a bug in on_gap")


@pytest.mark.parametrize("way", ["the endpoint closes", "it publishes and closes", "it raises"])
async def test_on_disconnect_runs_when_an_envelope_fails_at_the_end(
    way: str, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """The bug is logged, the connection is closed with 1011, and the end takes its usual course."""
    app = App()
    ends: list[int] = []

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "news", envelope=BrokenEnvelope())
            self.hub.broadcast_nowait("news", "hello")
            match way:
                case "the endpoint closes":
                    await websocket.close()
                case "it publishes and closes":
                    await self.hub.broadcast("news", "goodbye")
                    await websocket.close()
                case "it raises":
                    raise KeyError("a bug of its own")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            ends.append(close_code)

    async with connect(app, raise_app_errors=False) as client:
        assert (await client.wait_closed()).code == CloseCode.INTERNAL_ERROR
    assert ends == [CloseCode.INTERNAL_ERROR]
    assert_empty(app.hub)
    assert caplog.text.count("LookupError: a bug in an envelope") == 1


async def test_on_gap_that_fails_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """It is called for what was dropped when its client leaves; a bug there is logged, and the client leaves."""
    async with stage(overflow=Overflow.DROP_OLDEST, capacity=1) as here:
        ada = await here.enter("a", on_gap=broken_on_gap)
        ada.stall()
        here.publish("a", "1", "2", "3")
        ada.leave()
        assert ada.close_code == CloseCode.INTERNAL_ERROR
        assert here.hub.statistics().subscribers == 0
    assert caplog.text.count("LookupError: a bug in on_gap") == 1


@pytest.mark.parametrize("way", ["its lag", "its position", "its end", "its client's next direct message"])
async def test_looking_at_a_subscription_raises_no_bug_of_its_envelope(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever looks may be somebody else. The connection is closed, as when the hub itself had delivered."""
    async with stage() as here:
        ada, bob = await here.enter(), await here.enter("a")
        subscription = await here.hub.subscribe(ada.websocket, "a", envelope=BrokenEnvelope())
        here.hub.broadcast_nowait("a", "hello")
        match way:
            case "its lag":
                assert subscription.lag.publications == 0
            case "its position":
                assert subscription.position.offset == 1
            case "its end":
                await here.hub.unsubscribe(ada.websocket, "a")
            case _:
                assert ada.mailbox.catch_up()
        assert ada.close_code == CloseCode.INTERNAL_ERROR
        assert here.hub.statistics().subscribers == 1
        here.publish("a", "and")
        assert bob.got == ["hello", "and"]
    assert caplog.text.count("LookupError: a bug in an envelope") == 1
