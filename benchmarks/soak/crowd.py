"""A process full of clients, each of which behaves in one way, ends, and comes back to behave in another.

It prints what they did as JSON when its standard input ends. A crowd that is killed prints nothing, which is one more
way to vanish.
"""

import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import trio

from .client import Client, EndedError, OrderError, Stream
from .server import ROOMS

PATIENCE = 30.0  # seconds that one visit may take; longer means that the server forgot a client

Behaviour = Callable[["Visit"], Awaitable[None]]


class Visit:
    """One client's stay in one room."""

    def __init__(self, port: int, seconds: float) -> None:
        self.port = port
        self.room = random.choice(ROOMS)
        self.seconds = random.uniform(0.1, 1) * seconds
        self.stream = Stream(strict=not self.room.startswith("latest"))
        self.messages = 0

    async def enter(self, since: str | None = None) -> Client:
        """Connect and subscribe."""
        query = f"identity=person-{random.randrange(500)}" + "&events" * (random.random() < 0.3)
        if since is not None:
            query += f"&since={since}"
        client = await Client.open(self.port)
        try:
            await client.websocket(f"/rooms/{self.room.replace(':', '/')}?{query}")
        except BaseException:
            client.reset()
            raise
        return client

    async def read(self, client: Client, seconds: float | None = None) -> None:
        """Take what comes for a while, and say something now and then."""
        with trio.move_on_after(self.seconds if seconds is None else seconds):
            while True:
                self.stream.take(await client.receive())
                self.messages += 1
                if random.random() < 0.01:
                    await client.send({"key": random.randrange(20), "text": "y" * random.randrange(2000)})


# Ways to behave. A socket that is still there when one ends is reset.


async def leave_politely(visit: Visit) -> None:
    client = await visit.enter()
    try:
        await visit.read(client)
        await client.send_close()
        while True:
            await client.receive()
    finally:
        client.reset()


async def stall_and_resume(visit: Visit) -> None:
    client = await visit.enter()
    try:
        for _ in range(3):
            await visit.read(client, visit.seconds / 6)
            await trio.sleep(random.uniform(0, visit.seconds / 3))
        await visit.read(client, visit.seconds / 6)
    finally:
        client.reset()


async def freeze(visit: Visit) -> None:
    client = await visit.enter()
    try:
        await trio.sleep(2 * visit.seconds)
    finally:
        client.reset()


async def freeze_and_find_the_end(visit: Visit) -> None:
    client = await visit.enter()
    try:
        await trio.sleep(visit.seconds)
        await visit.read(client)  # cut off, told 1013, or still alive: until then all has to be in order
    finally:
        client.reset()


async def vanish_while_it_comes(visit: Visit) -> None:
    client = await visit.enter()
    try:
        await visit.read(client)
    finally:
        client.reset()


async def half_close(visit: Visit) -> None:
    client = await visit.enter()
    try:
        await visit.read(client)
        await client.half_close()
        while True:
            await client.read_raw()
    finally:
        client.reset()


async def come_back(visit: Visit) -> None:
    client = await visit.enter()
    for _ in range(2):
        try:
            await visit.read(client, visit.seconds / 3)
        finally:
            client.reset()
        await trio.sleep(random.uniform(0, visit.seconds / 3))
        resumes = visit.stream.epoch is not None and visit.stream.strict
        client = await visit.enter(visit.stream.position if resumes else None)
        if not resumes:
            visit.stream.epoch = None
    try:
        await visit.read(client, visit.seconds / 3)
    finally:
        client.reset()


async def break_off_the_handshake(visit: Visit) -> None:
    client = await Client.open(visit.port)
    try:
        await client.send_raw(b"GET /rooms/block/0 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgr")
        await trio.sleep(random.uniform(0, visit.seconds))
    finally:
        client.reset()


async def vanish_after_the_handshake(visit: Visit) -> None:
    client = await Client.open(visit.port)
    try:
        await client.request(f"/rooms/{visit.room.replace(':', '/')}")
    finally:
        client.reset()


async def send_nonsense(visit: Visit) -> None:
    client = await visit.enter()
    try:
        await client.send_raw(b"\xff\xff" + b"nonsense" * 10)
        while True:
            await client.receive()
    finally:
        client.reset()


async def follow_events(visit: Visit) -> None:
    client = await Client.open(visit.port)
    try:
        await client.request(f"/events/{visit.room}", upgrade=False)
        with trio.move_on_after(visit.seconds):
            while True:
                await client.read_raw()
    finally:
        client.reset()


BEHAVIOURS: dict[Behaviour, int] = {
    leave_politely: 4,
    stall_and_resume: 5,
    freeze: 2,
    freeze_and_find_the_end: 3,
    vanish_while_it_comes: 3,
    half_close: 2,
    come_back: 4,
    break_off_the_handshake: 1,
    vanish_after_the_handshake: 2,
    send_nonsense: 1,
    follow_events: 2,
}


class Crowd:
    """So many clients at a time, each one visit after the other."""

    def __init__(self, port: int, seconds: float) -> None:
        self._port = port
        self._seconds = seconds
        self.visits: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.messages = 0
        self.problems: list[str] = []

    async def keep_visiting(self) -> None:
        while True:
            await trio.sleep(random.uniform(0, self._seconds / 5))
            [behaviour] = random.choices(list(BEHAVIOURS), list(BEHAVIOURS.values()))
            visit = Visit(self._port, self._seconds)
            try:
                with trio.fail_after(PATIENCE + 3 * self._seconds):
                    await behaviour(visit)
                self.ends["by the client"] += 1
            except EndedError as end:
                self.ends["without a code" if end.args[0] is None else str(end.args[0])] += 1
            except OrderError as error:
                self.problems.append(f"{behaviour.__name__}: {error}")
            except trio.TooSlowError:
                self.problems.append(f"{behaviour.__name__}: the server forgot the client")
            except OSError as error:
                self.problems.append(f"{behaviour.__name__}: {error}")
            self.visits[behaviour.__name__] += 1
            self.messages += visit.messages

    def report(self) -> bytes:
        return msgspec.json.encode(
            {"visits": self.visits, "ends": self.ends, "messages": self.messages, "problems": self.problems}
        )


async def main(port: int, clients: int, seconds: float) -> None:
    crowd = Crowd(port, seconds)
    async with trio.open_nursery() as nursery:
        for _ in range(clients):
            nursery.start_soon(crowd.keep_visiting)
        await trio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()
    sys.stdout.buffer.write(crowd.report())


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
