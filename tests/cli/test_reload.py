"""A change starts the application anew; time is virtual, the workers are fakes, and so are the changes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.cli.fakes import FakeStarter
from wsframework import CloseCode, StartupError
from wsframework.cli.crew import Crew
from wsframework.cli.reload import OnChange, Reloader

RESTART, AWAY = CloseCode.SERVICE_RESTART, CloseCode.GOING_AWAY


class FakeSources:
    """Tells of changes when a test says so."""

    def __init__(self) -> None:
        self._on_change: OnChange | None = None

    async def watch(self, on_change: OnChange) -> None:
        self._on_change = on_change
        await trio.sleep_forever()

    async def save(self, *names: str) -> None:
        assert self._on_change is not None
        self._on_change([Path.cwd() / name for name in names])
        await wait_all_tasks_blocked()


class Scene:
    """A reloader that runs."""

    def __init__(self, start: FakeStarter) -> None:
        self.crew = Crew(start, drain_timeout=0.5)
        self.sources = FakeSources()
        self.reloader = Reloader(self.crew, self.sources)
        self.announced = 0
        self.ended = trio.Event()

    async def run(self) -> None:
        await self.reloader.run(self._announce)
        self.ended.set()

    def _announce(self) -> None:
        self.announced += 1


@asynccontextmanager
async def reloading(start: FakeStarter) -> AsyncIterator[Scene]:
    """Run a reloader inside the block; then it is stopped."""
    scene = Scene(start)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.crew.kill_the_overdue)
        nursery.start_soon(scene.run)
        await wait_all_tasks_blocked()
        yield scene
        scene.crew.stop(RESTART)
        await scene.ended.wait()
        nursery.cancel_scope.cancel()
    assert start.alive == []


async def test_a_change_starts_anew(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """The old worker drains, with the code that has clients come back; then the new one starts."""
    caplog.set_level(logging.INFO, "wsframework")
    start = FakeStarter(obey=False)
    async with reloading(start) as scene:
        start.obey = True
        await scene.sources.save("chat.py")
        assert [worker.told for worker in start.workers] == [[RESTART]]  # and the new one waits for its end
        start.last.end()
        await wait_all_tasks_blocked()
        assert len(start.workers) == 2
        assert len(start.alive) == 1
        assert scene.announced == 1
    assert caplog.messages == ["chat.py changed, starting anew", "serving again"]
    assert scene.crew.exit_code == 0


async def test_an_old_worker_that_hangs_is_killed(autojump_clock: MockClock) -> None:
    """Whatever the application does, the new one comes."""
    start = FakeStarter(obey=False)
    async with reloading(start) as scene:
        start.obey = True
        begun = trio.current_time()
        await scene.sources.save("chat.py")
        await start.wait_started(2)
        assert trio.current_time() - begun == pytest.approx(5.5)
        assert start.workers[0].told == [RESTART, "kill"]


async def test_changes_while_it_starts_anew(autojump_clock: MockClock) -> None:
    """What is saved while the old worker ends is in the new one; what is saved after that starts another."""
    start = FakeStarter(obey=False)
    async with reloading(start) as scene:
        start.obey = True
        await scene.sources.save("chat.py")
        await scene.sources.save("rooms.py")
        start.last.end()
        await start.wait_started(2)
        assert start.last.alive
        start.serve = False
        await scene.sources.save("chat.py")
        await start.wait_started(3)
        await scene.sources.save("chat.py")
        await start.wait_started(4)  # the third one had not served yet
        assert [worker.alive for worker in start.workers] == [False, False, False, True]


async def test_a_failure_waits_for_the_next_change(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """What keeps the application from starting is shown, and nothing is tried before the next save."""
    start = FakeStarter()
    async with reloading(start) as scene:
        start.serve = False
        await scene.sources.save("chat.py")
        start.last.end(1, "chat.py cannot be loaded:\nSyntaxError: invalid syntax")
        await trio.sleep(1000)
        assert caplog.messages == ["chat.py cannot be loaded:\nSyntaxError: invalid syntax\nwaiting for a change"]
        assert len(start.workers) == 2
        start.serve = True
        await scene.sources.save("chat.py")
        assert len(start.workers) == 3
        assert start.last.alive


async def test_a_crash_waits_for_the_next_change(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """An application that ends by itself is not started again and again."""
    start = FakeStarter()
    async with reloading(start) as scene:
        start.last.end(3)
        await trio.sleep(1000)
        assert caplog.messages == ["the application ended with exit code 3\nwaiting for a change"]
        await scene.sources.save("chat.py")
        assert start.last.alive


async def test_the_first_worker_that_cannot_start_ends_it(autojump_clock: MockClock) -> None:
    """A name that is wrong from the beginning is an error, and nothing to wait for."""
    start = FakeStarter(serve=False)
    expected = pytest.RaisesExc(StartupError, match="there is no file chat.py")
    with pytest.RaisesGroup(expected, flatten_subgroups=True):
        async with reloading(start) as scene:
            start.last.end(1, "there is no file chat.py")
            await scene.ended.wait()


async def test_stopping(autojump_clock: MockClock) -> None:
    """The worker is told the code of the signal, and a failure that waits for a change does not hold up the end."""
    start = FakeStarter()
    async with reloading(start) as scene:
        scene.crew.stop(AWAY)
        await scene.ended.wait()
        assert start.last.told == [AWAY]
        assert scene.crew.exit_code == 0
    async with reloading(start) as scene:
        start.last.end(3)
        await wait_all_tasks_blocked()
        scene.crew.stop(AWAY)
        await scene.ended.wait()
        assert scene.crew.exit_code == 0
