"""What the hub has for a client, and direct messages that must not overtake it."""

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from tests.server.builders import (
    Client,
    cancel_when_blocked,
    client_close,
    client_text,
    connected,
    server_close,
    server_text,
)
from wsframework import WebSocketDisconnect
from wsframework.messages import Ticket


class FakeMailbox:
    """Keeps what is published while the client is behind, as the hub does."""

    places = 3  # for direct messages in line

    def __init__(self, client: Client) -> None:
        self.client = client
        self.waiting: list[tuple[bytes, Ticket | None]] = []
        self.told: list[str] = []
        client.connection.mailbox = self

    def publish(self, text: str) -> None:
        if self.waiting or self.client.connection.behind:
            self.waiting.append((server_text(text), None))
        else:
            self.client.connection.offer(server_text(text))

    def catch_up(self) -> bool:
        self.told.append("catch up")
        return not self.waiting

    def line_up(self, encoded: bytes) -> Ticket | None:
        if sum(ticket is not None for _, ticket in self.waiting) >= self.places:
            return None
        ticket = Ticket()
        self.waiting.append((encoded, ticket))
        return ticket

    def empty(self) -> None:
        self.told.append("empty")
        while self.waiting:
            self._offer_next()

    def drained(self) -> None:
        self.told.append("drained")
        while self.waiting:
            if not self._offer_next():
                return

    def leave(self) -> None:
        self.told.append("leave")

    def _offer_next(self) -> bool:
        encoded, ticket = self.waiting.pop(0)
        if ticket is not None:
            ticket.taken = True
        return self.client.connection.offer(encoded)


async def test_a_direct_message_does_not_overtake_publications(nursery: trio.Nursery) -> None:
    """It lines up behind what the mailbox keeps, and its sender waits that long."""
    client = await connected()
    mailbox = FakeMailbox(client)
    client.falls_behind(server_text("one"))
    mailbox.publish("two")
    done = trio.Event()

    async def send() -> None:
        await client.connection.send("three")
        done.set()

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    mailbox.publish("four")
    client.takes(len(server_text("one")) + 1)
    await wait_all_tasks_blocked()
    assert not done.is_set()
    client.takes()
    await done.wait()
    assert client.gets() == b"".join(map(server_text, ["one", "two", "three", "four"]))


async def test_a_direct_message_has_the_mailbox_catch_up_first() -> None:
    """What was published a moment ago is offered before it."""
    client = await connected()
    mailbox = FakeMailbox(client)
    await client.connection.send("x")
    assert mailbox.told == ["catch up"]
    assert client.gets() == server_text("x")


async def test_a_cancelled_direct_message_keeps_its_place(nursery: trio.Nursery) -> None:
    """It arrives whole and in order although its sender has given up."""
    client = await connected()
    mailbox = FakeMailbox(client)
    client.falls_behind(server_text("one"))
    mailbox.publish("two")
    with trio.CancelScope() as scope:
        nursery.start_soon(cancel_when_blocked, scope)
        await client.connection.send("three")
    mailbox.publish("four")
    client.takes()
    assert client.gets() == b"".join(map(server_text, ["one", "two", "three", "four"]))


async def test_the_mailbox_is_emptied_before_our_close_frame() -> None:
    """What was published before `close` leaves before it."""
    client = await connected()
    mailbox = FakeMailbox(client)
    client.falls_behind(server_text("one"))
    mailbox.publish("two")
    await client.connection.close(4000)
    client.takes()
    assert client.gets() == server_text("one") + server_text("two") + server_close(4000)
    assert "drained" not in mailbox.told


async def test_a_client_that_is_lost_while_a_direct_message_waits(nursery: trio.Nursery) -> None:
    """Its sender is told."""
    client = await connected()
    mailbox = FakeMailbox(client)
    client.falls_behind(server_text("one"))
    mailbox.publish("two")
    ended = trio.Event()

    async def send() -> None:
        with pytest.raises(WebSocketDisconnect):
            await client.connection.send("three")
        ended.set()

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    client.leaves()
    await ended.wait()


async def test_a_mailbox_that_falls_behind_again(nursery: trio.Nursery) -> None:
    """Every time the client has taken everything, the mailbox offers more, until it is empty."""
    client = await connected()
    mailbox = FakeMailbox(client)
    client.falls_behind(server_text("0"))
    for number in range(1, 10):
        mailbox.publish(str(number))
    while mailbox.waiting or client.connection.behind:
        client.takes(2)
    assert client.gets() == b"".join(server_text(str(number)) for number in range(10))


async def test_offer_says_whether_the_client_is_behind() -> None:
    """A full socket is no error; the mailbox keeps the rest."""
    client = await connected()
    assert client.connection.offer(server_text("one"))
    client.stops_reading()
    assert not client.connection.offer(server_text("two"))
    assert client.connection.behind
    client.takes()
    assert client.connection.offer(server_text("three"))


async def test_offer_to_nobody() -> None:
    """Nobody took it, and nobody is behind either; the end was told another way."""
    client = await connected()
    client.wire.broken = True
    assert not client.connection.offer(server_text("one"))
    assert client.connection.gone
    assert not client.connection.behind
    assert client.connection.offer(server_text("two"))


async def test_a_direct_message_that_waits_while_the_client_closes(nursery: trio.Nursery) -> None:
    """Our close frame ends the wait: nothing that lined up can follow it, so the sender is told at once."""
    client = await connected()
    mailbox = FakeMailbox(client)
    client.falls_behind(server_text("one"))
    mailbox.publish("two")
    ended = trio.Event()

    async def send() -> None:
        with pytest.raises(WebSocketDisconnect, match="4000"):
            await client.connection.send("three")
        ended.set()

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    client.sends(client_text("last"), client_close(4000))
    assert await client.connection.receive() == "last"
    await wait_all_tasks_blocked()
    assert not ended.is_set()
    with pytest.raises(WebSocketDisconnect):
        await client.connection.receive()
    await wait_all_tasks_blocked()
    assert ended.is_set()


@pytest.mark.parametrize("how", ["cut off", "gone"])
async def test_a_mailbox_that_ends_the_connection_as_it_catches_up(how: str) -> None:
    """The message is not sent behind that end, and its sender is told."""
    client = await connected()

    class Full(FakeMailbox):
        def catch_up(self) -> bool:
            if how == "cut off":
                self.client.connection.cut_off(1013)
            else:
                self.client.leaves()
            return True

    Full(client)
    with assert_checkpoints(), pytest.raises(WebSocketDisconnect, match="1013" if how == "cut off" else "1006"):
        await client.connection.send("x")
    assert client.gets() == (server_close(1013) if how == "cut off" else b"")


async def test_cancelled_direct_messages_do_not_pile_up(autojump_clock: MockClock) -> None:
    """An endpoint that gives up and tries again leaves some behind the publications, not one per attempt."""
    client = await connected()
    mailbox = FakeMailbox(client)
    client.falls_behind(server_text("one"))
    mailbox.publish("two")
    for number in range(100):
        with trio.move_on_after(0.1):
            await client.connection.send(str(number))
    client.takes()
    lined_up = b"".join(server_text(str(number)) for number in range(mailbox.places))
    assert client.gets() == server_text("one") + server_text("two") + lined_up
