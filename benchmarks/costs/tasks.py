"""What Trio's parts cost, and what is done without them."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import trio
import trio.testing
from trio.lowlevel import checkpoint, checkpoint_if_cancelled

from wsframework.server.frames import encode_message

from .timing import Case, Table, in_trio, measure

CLIENTS = 100
FRAME = encode_message("x" * 32)


async def _checkpoints(count: int) -> None:
    for _ in range(count):
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
                await checkpoint()
        await checkpoint()
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
        "Trio: what one costs",
        {
            "checkpoint": in_trio(_checkpoints),
            "checkpoint_if_cancelled": in_trio(_checks),
            "cancel scope with a deadline": in_trio(_scopes),
            "empty nursery": in_trio(_nurseries),
        },
    )


def deliveries() -> Table:
    with _sending() as sends:
        return measure(
            "A message of 32 bytes for one of many clients",
            {"send to its socket": sends, "wake its task at a memory channel": in_trio(_wakes)},
        )
