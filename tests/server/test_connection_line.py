"""Many tasks send to one client that is behind: beyond what may be queued they stand in line, and keep their order."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.server.builders import Client, connected, read_frames, server_text
from tests.server.test_connection_mailbox import FakeMailbox
from wsframework import WebSocketDisconnect

SENDERS = 200


class Senders:
    """Tasks that send their number, in the order of their numbers.

    Attributes:
        scopes: to cancel them by.
        done: those whose send has returned.
        disconnected: those whose send has raised that there is nobody any more.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.scopes: list[trio.CancelScope] = []
        self.done: list[int] = []
        self.disconnected: list[int] = []

    async def start(self, nursery: trio.Nursery, number: int = SENDERS) -> None:
        for _ in range(number):
            nursery.start_soon(self.send, len(self.scopes))
            self.scopes.append(trio.CancelScope())
            await wait_all_tasks_blocked()

    async def send(self, number: int) -> None:
        with self.scopes[number]:
            try:
                await self.client.connection.send(str(number))
            except WebSocketDisconnect:
                self.disconnected.append(number)
            else:
                self.done.append(number)


def numbers(data: bytes) -> list[int]:
    """What the client got, besides what was in its way."""
    return [int(frame.data) for frame in read_frames(data) if frame.data != b"first"]


async def take_all(client: Client, at_a_time: int | None) -> None:
    for _ in range(10_000):
        client.takes(at_a_time)
        await wait_all_tasks_blocked()
        if not client.wire.wanted:
            return
    raise AssertionError("there is no end of it")


@pytest.mark.parametrize("at_a_time", [100, None])
async def test_first_come_first_served(at_a_time: int | None, nursery: trio.Nursery) -> None:
    """What they send leaves in the order in which they began to, however much the client takes at a time."""
    client = await connected()
    client.falls_behind(server_text("first"))
    senders = Senders(client)
    await senders.start(nursery)
    assert not senders.done
    await take_all(client, at_a_time)
    assert numbers(client.gets()) == list(range(SENDERS))
    assert sorted(senders.done) == list(range(SENDERS))


async def test_somebody_who_comes_when_the_line_moves(nursery: trio.Nursery) -> None:
    """There is room again and nobody in line has run yet: whoever comes now goes behind them."""
    client = await connected()
    client.falls_behind(server_text("first"))
    senders = Senders(client)
    await senders.start(nursery)
    client.takes()
    await client.connection.send("1000")
    assert numbers(client.gets()) == [*range(SENDERS), 1000]


@pytest.mark.parametrize("when", ["in line", "in turn", "moving"])
async def test_some_who_give_up(when: str, nursery: trio.Nursery) -> None:
    """Whoever is cancelled before it is its turn sends nothing, and the others keep their order."""
    client = await connected()
    client.falls_behind(server_text("first"))
    senders = Senders(client)
    await senders.start(nursery)
    queued = 63  # behind the first one, without being asked to wait
    gone = {"in line": [100, 101, 150], "in turn": [queued, queued + 1, SENDERS - 1], "moving": [queued + 1, 100]}[when]
    if when == "moving":
        client.takes()
    for number in gone:
        senders.scopes[number].cancel()
    await wait_all_tasks_blocked()
    await take_all(client, None)
    assert numbers(client.gets()) == [number for number in range(SENDERS) if number not in gone]
    assert sorted(senders.done) == [number for number in range(SENDERS) if number not in gone]


async def test_the_client_leaves(nursery: trio.Nursery) -> None:
    """Everybody in line is told."""
    client = await connected()
    client.falls_behind(server_text("first"))
    senders = Senders(client)
    await senders.start(nursery)
    client.leaves()
    await wait_all_tasks_blocked()
    assert sorted(senders.disconnected) == list(range(SENDERS))


async def test_behind_publications(nursery: trio.Nursery) -> None:
    """The same order holds when the mailbox has places for a few direct messages only."""
    client = await connected()
    mailbox = FakeMailbox(client)
    client.falls_behind(server_text("first"))
    mailbox.publish("1000")
    senders = Senders(client)
    await senders.start(nursery, 20)
    await take_all(client, 30)
    assert numbers(client.gets()) == [1000, *range(20)]
    assert sorted(senders.done) == list(range(20))


async def test_nobody_waits_for_nothing(nursery: trio.Nursery) -> None:
    """When the line is empty again, the next message goes straight to the wire."""
    client = await connected()
    client.falls_behind(server_text("first"))
    await Senders(client).start(nursery, 100)
    await take_all(client, None)
    client.gets()
    await client.connection.send("next")
    assert client.wire.writes == [server_text("next")]
