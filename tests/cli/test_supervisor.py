"""Workers are kept alive, replaced, restarted and stopped; time is virtual and the workers are fakes."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.cli.fakes import KILLED, FakeStarter
from wsframework import CloseCode, StartupError
from wsframework.cli.crew import Crew
from wsframework.cli.supervisor import Backoff, Supervisor, describe_end

DRAIN_TIMEOUT = 10.0
RESTART, AWAY = CloseCode.SERVICE_RESTART, CloseCode.GOING_AWAY


@attrs.define
class Scene:
    """A supervisor that runs."""

    crew: Crew
    supervisor: Supervisor
    announced: list[float]
    ended: trio.Event


@asynccontextmanager
async def supervised(start: FakeStarter, count: int = 2) -> AsyncIterator[Scene]:
    """Run a supervisor inside the block; then it must have come to its end, or be stopped here."""
    crew = Crew(start, DRAIN_TIMEOUT)
    supervisor = Supervisor(crew, count)
    scene = Scene(crew, supervisor, [], trio.Event())
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await supervisor.run(lambda: scene.announced.append(trio.current_time()))
            scene.ended.set()

        nursery.start_soon(crew.kill_the_overdue)
        nursery.start_soon(run)
        await wait_all_tasks_blocked()
        yield scene
        crew.stop(RESTART)
        await scene.ended.wait()
        nursery.cancel_scope.cancel()
    assert start.alive == []
    assert all(worker.closed for worker in start.workers)


# It starts


async def test_ready_when_all_serve(autojump_clock: MockClock) -> None:
    """It is announced once, when the last worker serves."""
    start = FakeStarter(serve=False)
    async with supervised(start, 3) as scene:
        assert len(start.workers) == 3
        for worker in start.workers[:2]:
            worker.serve()
            await wait_all_tasks_blocked()
            assert scene.announced == []
        start.last.serve()
        await wait_all_tasks_blocked()
        assert len(scene.announced) == 1


async def test_a_worker_that_cannot_start_ends_all(autojump_clock: MockClock) -> None:
    """What it says is raised, once, and the others are killed."""
    start = FakeStarter(serve=False)
    with pytest.RaisesGroup(pytest.RaisesExc(StartupError, match="no such module"), flatten_subgroups=True):
        async with supervised(start, 3) as scene:
            start.workers[0].serve()
            await wait_all_tasks_blocked()
            start.workers[1].end(1, "no such module")
            await scene.ended.wait()
    assert start.workers[0].told == start.workers[2].told == ["kill"]
    assert all(worker.closed for worker in start.workers)


async def test_a_worker_that_dies_before_it_serves_ends_all(autojump_clock: MockClock) -> None:
    """There may be no words, when it was killed."""
    start = FakeStarter(serve=False)
    expected = pytest.RaisesExc(StartupError, match="worker 1 was killed by SIGSEGV before it served")
    with pytest.RaisesGroup(expected, flatten_subgroups=True):
        async with supervised(start) as scene:
            start.workers[0].end(-signal.SIGSEGV)
            await scene.ended.wait()


async def test_stop_while_starting(autojump_clock: MockClock) -> None:
    """Workers that do not serve yet are told to drain too, and nothing is announced or raised."""
    start = FakeStarter(serve=False)
    async with supervised(start) as scene:
        scene.crew.stop(AWAY)
        await scene.ended.wait()
        assert [worker.told for worker in start.workers] == [[AWAY], [AWAY]]
        assert scene.announced == []
        assert scene.crew.exit_code == 0


async def test_stop_while_a_worker_is_being_started(autojump_clock: MockClock) -> None:
    """A worker that comes to life after the wish to stop is told to drain at once."""
    start = FakeStarter(obey=False)
    async with supervised(start, 1) as scene:
        start.seconds = 2.0
        start.workers[0].end(1)
        await trio.sleep(1)
        scene.crew.stop(AWAY)
        late = await start.wait_started(2)
        assert late.told == [AWAY]
        late.end()
        await scene.ended.wait()


# It replaces


async def test_a_crashed_worker_is_replaced(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """The other one goes on, and one line says who has ended, how, and when the next one comes."""
    caplog.set_level(logging.INFO, "wsframework")
    start = FakeStarter()
    async with supervised(start):
        begun = trio.current_time()
        start.workers[0].end(-signal.SIGSEGV)
        successor = await start.wait_started(3)
        assert successor.begun == pytest.approx(begun + 0.5)
        assert start.workers[1].told == []
        assert [record.getMessage() for record in caplog.records] == [
            "worker 1 was killed by SIGSEGV; the next one starts in 0.5 s"
        ]


async def test_the_next_ones_come_more_and_more_slowly(autojump_clock: MockClock) -> None:
    """The delay doubles for each that ends, up to half a minute."""
    start = FakeStarter()
    async with supervised(start, 1):
        delays = []
        for number in range(2, 11):
            ended = trio.current_time()
            start.last.end(1)
            delays.append((await start.wait_started(number)).begun - ended)
    assert delays == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30, 30])


async def test_a_worker_that_has_lived_is_replaced_quickly(autojump_clock: MockClock) -> None:
    """A minute of life counts as success, and the delay is the first one again."""
    start = FakeStarter()
    async with supervised(start, 1):
        for number in range(2, 6):
            start.last.end(1)
            await start.wait_started(number)
        await trio.sleep(60)
        ended = trio.current_time()
        start.last.end(1)
        assert (await start.wait_started(6)).begun - ended == pytest.approx(0.5)


def test_backoff_is_for_failures_in_a_row() -> None:
    """A short life does not reset it, a long one does."""
    backoff = Backoff()
    assert [backoff.next(lived) for lived in (0, 59, 60, 0, 1000)] == [0.5, 1, 0.5, 1, 0.5]


async def test_a_later_worker_that_cannot_start_is_tried_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Once all have served, a failure to start ends nobody else; its words are in the log."""
    start = FakeStarter()
    async with supervised(start):
        start.serve = False
        start.workers[0].end(1)
        (await start.wait_started(3)).end(1, "the database is away")
        start.serve = True
        await start.wait_started(4)
        assert len(start.alive) == 2
    assert caplog.messages[1] == (
        "worker 3 could not start and ended with exit code 1; the next one starts in 1 s: the database is away"
    )


# It stops


async def test_stopping_drains_every_worker(autojump_clock: MockClock) -> None:
    """Each is told the close code once, nobody is replaced or killed, and the exit code is 0."""
    start = FakeStarter()
    async with supervised(start, 3) as scene:
        scene.crew.stop(AWAY)
        await scene.ended.wait()
        assert [worker.told for worker in start.workers] == [[AWAY]] * 3
        assert scene.crew.exit_code == 0


async def test_the_overdue_are_killed(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A worker has the drain timeout and five seconds more; then it is killed, and the exit code tells of it."""
    start = FakeStarter(obey=False)
    async with supervised(start) as scene:
        begun = trio.current_time()
        scene.crew.stop(RESTART)
        start.workers[0].end()
        await scene.ended.wait()
        assert trio.current_time() - begun == pytest.approx(DRAIN_TIMEOUT + 5)
        assert start.workers[1].told == [RESTART, "kill"]
        assert scene.crew.exit_code == 1
    assert caplog.messages == ["worker 2 has not ended in time; it is killed"]


async def test_force_leaves_three_seconds(autojump_clock: MockClock) -> None:
    """After force the workers are told to stop, and are killed soon."""
    start = FakeStarter(obey=False)
    async with supervised(start) as scene:
        scene.crew.stop(AWAY)
        await trio.sleep(1)
        begun = trio.current_time()
        scene.crew.force()
        await scene.ended.wait()
        assert trio.current_time() - begun == pytest.approx(3)
        assert start.workers[0].told == [AWAY, "stop", "kill"]


async def test_stopping_ends_the_wait_for_the_next_worker(autojump_clock: MockClock) -> None:
    """A worker that would come in half a minute does not hold up the end."""
    start = FakeStarter()
    async with supervised(start, 1) as scene:
        for number in range(2, 9):
            start.last.end(1)
            await start.wait_started(number)
        start.last.end(1)
        await wait_all_tasks_blocked()
        begun = trio.current_time()
        scene.crew.stop(RESTART)
        await scene.ended.wait()
        assert trio.current_time() == begun
        assert scene.crew.exit_code == 0


async def test_a_worker_that_fails_to_stop_well_is_in_the_exit_code(autojump_clock: MockClock) -> None:
    """A crash on the way out is not silent; a service manager's own SIGTERM is no crash."""
    for returncode, expected in [(-signal.SIGTERM, 0), (-signal.SIGSEGV, 1), (1, 1)]:
        start = FakeStarter(obey=False)
        async with supervised(start, 1) as scene:
            scene.crew.stop(RESTART)
            start.last.end(returncode)
            await scene.ended.wait()
            assert scene.crew.exit_code == expected


async def test_cancelling_leaves_nobody_behind(autojump_clock: MockClock) -> None:
    """Whatever ends the parent's tasks, the workers are killed and waited for."""
    start = FakeStarter(obey=False)
    crew = Crew(start, DRAIN_TIMEOUT)
    with trio.move_on_after(1):
        await Supervisor(crew, 2).run(lambda: None)
    assert [worker.told for worker in start.workers] == [["kill"], ["kill"]]
    assert all(worker.closed for worker in start.workers)


# It restarts


async def test_restart_replaces_one_after_the_other(autojump_clock: MockClock) -> None:
    """Each new worker serves before an old one is told to drain, and only one is away at a time."""
    start = FakeStarter()
    async with supervised(start) as scene:
        start.serve = False
        old = start.alive
        for worker in old:
            worker.obeys = False
        scene.supervisor.restart()
        third = await start.wait_started(3)
        assert [worker.told for worker in old] == [[], []]
        third.serve()
        await wait_all_tasks_blocked()
        [first] = [worker for worker in old if worker.told]
        [second] = [worker for worker in old if not worker.told]
        assert len(start.workers) == 3
        first.end()
        fourth = await start.wait_started(4)
        fourth.serve()
        await wait_all_tasks_blocked()
        assert second.told == [RESTART]
        second.end()
        await wait_all_tasks_blocked()
        assert first.told == second.told == [RESTART]
        assert start.alive == [third, fourth]
    assert len(start.workers) == 4


async def test_restart_kills_an_old_worker_that_hangs(autojump_clock: MockClock) -> None:
    """A restart does not wait for ever."""
    start = FakeStarter(obey=False)
    async with supervised(start, 1) as scene:
        start.obey = True
        begun = trio.current_time()
        scene.supervisor.restart()
        await start.workers[0].wait()
        assert trio.current_time() - begun == pytest.approx(DRAIN_TIMEOUT + 5)
        assert start.workers[0].told == [RESTART, "kill"]
    assert scene.crew.exit_code == 0  # it is the end of the parent that counts


async def test_a_restart_that_fails_leaves_the_old_workers(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A new version that cannot start takes nothing away."""
    start = FakeStarter()
    async with supervised(start) as scene:
        start.serve = False
        scene.supervisor.restart()
        (await start.wait_started(3)).end(1, "app.py cannot be loaded")
        await wait_all_tasks_blocked()
        assert [worker.pid for worker in start.alive] == [1, 2]
        assert caplog.messages == ["the restart has ended, the workers that serve go on: app.py cannot be loaded"]


async def test_restart_while_a_worker_is_away(autojump_clock: MockClock) -> None:
    """A place whose worker has just crashed gets one new worker, not two."""
    start = FakeStarter()
    async with supervised(start) as scene:
        start.workers[0].end(1)
        scene.supervisor.restart()
        await start.wait_started(4)
        await trio.sleep(10)
        assert [worker.pid for worker in start.alive] == [3, 4]


async def test_restart_while_a_worker_is_being_started(autojump_clock: MockClock) -> None:
    """The one that is being started for a place that is given up is put down, with patience, and nobody follows it."""
    start = FakeStarter()
    async with supervised(start, 1) as scene:
        start.seconds = 2.0
        start.workers[0].end(1)
        await trio.sleep(0.4)
        scene.supervisor.restart()  # the replacement is being started from 0.5 s to 2.5 s, the new one to 2.4 s
        new = await start.wait_started(2)
        start.obey = False
        late = await start.wait_started(3)
        assert late.told == [RESTART]
        late.end()
        await trio.sleep(20)
        assert new.told == []
        assert start.alive == [new]


async def test_stop_in_the_middle_of_a_restart(autojump_clock: MockClock) -> None:
    """The worker that is being started is gone afterwards too."""
    start = FakeStarter()
    async with supervised(start) as scene:
        start.serve = False
        scene.supervisor.restart()
        await start.wait_started(3)
        scene.crew.stop(RESTART)
        await scene.ended.wait()
        assert scene.crew.exit_code == 0


@pytest.mark.parametrize(
    ("returncode", "expected"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        (KILLED, "was killed by SIGKILL"),
        (-200, "was killed by signal 200"),
    ],
)
def test_describe_end(returncode: int, expected: str) -> None:
    """Exit codes and signals are told apart, and signals have names."""
    assert describe_end(returncode) == expected
