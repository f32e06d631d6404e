"""Publishing from threads: Trio's own, and any other."""

from __future__ import annotations

import threading

import pytest
import trio

from tests.hub.fakes import stage
from tests.hub.rooms import numbers
from wsframework import Hub, Overflow, WebSocketStateError


async def test_a_worker_thread_publishes() -> None:
    """The message is delivered when the call returns, and the receipt is final."""
    async with stage() as here:
        ada, bob = await here.enter("a", identity="ada"), await here.enter("a")

        def work() -> None:
            assert numbers(here.hub.from_thread.broadcast("a", "1")) == (2, 0, 0, 0)
            assert numbers(here.hub.from_thread.broadcast("a", "2", exclude=bob.websocket)) == (1, 0, 0, 0)
            assert numbers(here.hub.from_thread.broadcast("a", "3", to="ada")) == (1, 0, 0, 0)

        await trio.to_thread.run_sync(work)
        assert ada.got == ["1", "2", "3"]
        assert bob.got == ["1"]


async def test_any_thread_publishes() -> None:
    """Also one that Trio knows nothing about, as those of a driver or of a file watcher."""
    async with stage() as here:
        ada = await here.enter("a")
        from_thread = here.hub.from_thread
        receipts = []
        thread = threading.Thread(target=lambda: receipts.append(from_thread.broadcast("a", {"from": "outside"})))
        thread.start()
        with trio.fail_after(10):
            await trio.to_thread.run_sync(thread.join)
        assert ada.got == ['{"from":"outside"}']
        assert numbers(receipts[0]) == (1, 0, 0, 0)


async def test_a_worker_thread_that_waits_is_cancelled_with_its_task() -> None:
    """A broadcast that has to wait for a client does not outlive who wanted it."""
    async with stage(overflow=Overflow.BLOCK, capacity=1) as here:
        ada = await here.enter("a")
        ada.stall()
        for message in ("1", "2"):
            here.publish("a", message)

        def work() -> None:
            with pytest.raises(trio.Cancelled):
                here.hub.from_thread.broadcast("a", "3")

        with trio.move_on_after(0.01):
            await trio.to_thread.run_sync(work)
        assert here.hub.statistics().published == 2


async def test_errors_reach_the_thread() -> None:
    """What the caller did wrong is raised where it did it."""
    async with stage() as here:

        def work() -> None:
            with pytest.raises(TypeError):
                here.hub.from_thread.broadcast("a", object())

        await trio.to_thread.run_sync(work)
    with pytest.raises(WebSocketStateError, match="does not run"):
        _ = here.hub.from_thread
    with pytest.raises(WebSocketStateError, match="does not run"):
        _ = Hub().from_thread
