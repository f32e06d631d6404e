"""What Trio's parts cost, and what is done without them."""

import socket
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import trio
import trio.testing
from trio.lowlevel import checkpoint, checkpoint_if_cancelled

from wsframework import Limits, WebSocket, WebSocketEndpoint
from wsframework.server.connection import Connection
from wsframework.server.frames import encode_message
from wsframework.server.head.handshake import check_upgrade
from wsframework.server.head.request import parse_request
from wsframework.server.scope import Peers, make_scope
from wsframework.server.upkeep import Upkeep
from wsframework.waking import WOKEN, awaitable, make_trap

from .timing import Case, Table, in_trio, measure

CLIENTS = 100
FRAME = encode_message("x" * 32)


async def _checkpoints(count: int) -> None:
    for _ in range(count):
        await checkpoint()


async def _let_others_run() -> None:
    """Have every task that was woken run: within a tick it may be this one's turn before that of the others."""
    await checkpoint()
    await checkpoint()


async def _checks(count: int) -> None:
    for _ in range(count):
        await checkpoint_if_cancelled()


async def _scopes(count: int) -> None:
    for _ in range(count):
        with trio.move_on_after(60):  # noqa: ASYNC100 - it is the scope that is measured
            pass


async def _nurseries(count: int) -> None:
    for _ in range(count):
        async with trio.open_nursery():
            pass


HEAD = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HELLO = b"\x81\x85\0\0\0\0hello"  # a masked frame


class _Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_text(data)


class _Nowhere:
    """A wire that takes everything."""

    def send(self, data: bytes | memoryview) -> int:
        return len(data)

    def ask_to_write(self) -> None:
        pass

    hold = resume = shut_down = close = ask_to_write


async def _echoes(count: int) -> float:
    """Echo through whole endpoints, but without sockets."""
    handshake = check_upgrade(parse_request(HEAD, Limits()))
    upkeep = Upkeep()
    connections = [Connection(_Nowhere(), handshake, Limits(), upkeep) for _ in range(CLIENTS)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(upkeep.run)
        for connection in connections:
            endpoint = _Echo(make_scope(handshake, Peers(), {}), connection.asgi_receive, connection.asgi_send)
            nursery.start_soon(endpoint.dispatch)
        await trio.testing.wait_all_tasks_blocked()
        started = time.thread_time()
        for number in range(count):
            connections[number % CLIENTS].received(HELLO)
            if number % CLIENTS == CLIENTS - 1:
                await _let_others_run()
        await trio.testing.wait_all_tasks_blocked()
        spent = time.thread_time() - started
        for connection in connections:
            connection.abandon()
        nursery.cancel_scope.cancel()
    assert sum(connection.messages_out for connection in connections) == count
    return spent


async def _waits(count: int) -> float:
    """Wake many tasks that wait as trio has it."""

    async def wait() -> None:
        await trio.lowlevel.wait_task_rescheduled(_abort)

    return await _wake_each(wait, trio.lowlevel.reschedule, count)


async def _waits_at_a_trap(count: int) -> float:
    """Wake many tasks that wait as the receivers of our connections do."""
    trap = make_trap(_abort)

    @awaitable
    def wait() -> Generator[Any, Any, None]:
        woken = yield trap
        if woken is not WOKEN:
            woken.unwrap()

    return await _wake_each(wait, lambda task: trio.lowlevel.reschedule(task, WOKEN), count)


async def _wake_each(
    wait: Callable[[], Awaitable[None]], wake: Callable[[trio.lowlevel.Task], None], count: int
) -> float:
    waiting: list[trio.lowlevel.Task] = []

    async def wait_for_ever() -> None:
        while True:
            waiting.append(trio.lowlevel.current_task())
            await wait()

    async with trio.open_nursery() as nursery:
        for _ in range(CLIENTS):
            nursery.start_soon(wait_for_ever)
        await trio.testing.wait_all_tasks_blocked()
        started = time.thread_time()
        for _ in range(0, count, CLIENTS):
            tasks = waiting.copy()
            waiting.clear()
            for task in tasks:
                wake(task)
            await _let_others_run()
        spent = time.thread_time() - started
        nursery.cancel_scope.cancel()
    return spent * count / (-(-count // CLIENTS) * CLIENTS)


def _abort(raise_cancel: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.SUCCEEDED


async def _wakes(count: int) -> float:
    """Hand a message to each of many tasks that wait at a memory channel."""
    spent = 0.0
    async with trio.open_nursery() as nursery:
        channels = []
        for _ in range(CLIENTS):
            send, receive = trio.open_memory_channel[bytes](10)
            nursery.start_soon(_receive, receive)
            channels.append(send)
        await trio.testing.wait_all_tasks_blocked()
        started = time.thread_time()
        for number in range(count):
            channels[number % CLIENTS].send_nowait(FRAME)
            if number % CLIENTS == CLIENTS - 1:
                await _let_others_run()
        spent = time.thread_time() - started
        nursery.cancel_scope.cancel()
    return spent


async def _receive(channel: trio.MemoryReceiveChannel[bytes]) -> None:
    while True:
        await channel.receive()


@contextmanager
def _sending() -> Iterator[Case]:
    """Hand a frame to a socket on 127.0.0.1. What the system does for the receiver in that call is part of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def case(count: int) -> float:
        spent = 0.0
        for begin in range(0, count, CLIENTS):
            batch = min(CLIENTS, count - begin)
            started = time.thread_time()
            for _ in range(batch):
                sender.send(FRAME)
            spent += time.thread_time() - started
            left = batch * len(FRAME)
            while left:
                left -= len(receiver.recv(left))
        return spent

    with sender, receiver:
        yield case


def tasks() -> Table:
    return measure(
        "Trio: what one costs, beside a message",
        {
            "checkpoint": in_trio(_checkpoints),
            "checkpoint_if_cancelled": in_trio(_checks),
            "cancel scope with a deadline": in_trio(_scopes),
            "empty nursery": in_trio(_nurseries),
            "a wait, and a wake-up": in_trio(_waits),
            "the same with a trap that is kept": in_trio(_waits_at_a_trap),
            "an echoed message, without its socket": in_trio(_echoes),
        },
    )


def deliveries() -> Table:
    with _sending() as sends:
        return measure(
            "A message of 32 bytes for one of many clients",
            {"send to its socket": sends, "wake its task at a memory channel": in_trio(_wakes)},
        )
