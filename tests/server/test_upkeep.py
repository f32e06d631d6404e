"""The sweeper looks at connections when they asked for it, and the flusher joins their replies within a tick."""

from collections import Counter
from collections.abc import Callable
from math import inf

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from wsframework.server.upkeep import Upkeep


class FakeCharge:
    """Writes down when it was looked at, and when it was flushed."""

    def __init__(self, again: Callable[[float], float] = lambda now: inf) -> None:
        self.next_sweep = inf
        self.swept: list[float] = []
        self.flushed = 0
        self.abandoned = False
        self.again = again

    def sweep(self, now: float) -> float:
        self.swept.append(now)
        return self.again(now)

    def flush(self) -> None:
        self.flushed += 1

    def abandon(self) -> None:
        self.abandoned = True


# Sweeping


async def test_a_sweep_when_it_is_due(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """Once, at its time; nothing happens before and after."""
    charge = FakeCharge()
    upkeep.watch(charge, 5)
    await trio.sleep(100)
    assert charge.swept == [5]
    assert charge.next_sweep == inf


async def test_what_is_asked_before_it_runs(autojump_clock: MockClock) -> None:
    """It is swept when the upkeep starts in time, and at once when it is late."""
    upkeep = Upkeep()
    early, late = FakeCharge(), FakeCharge()
    upkeep.watch(early, 5)
    upkeep.watch(late, 15)
    await trio.sleep(10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(upkeep.run)
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert early.swept == [10]
    assert late.swept == [15]


async def test_a_sweep_again(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """Each sweep says when the next one is due."""
    charge = FakeCharge(lambda now: now + 10 if now < 30 else inf)
    upkeep.watch(charge, 5)
    await trio.sleep(1000)
    assert charge.swept == [5, 15, 25, 35]


async def test_an_earlier_wish_wins(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """A later one changes nothing: the sweep itself says when to look again."""
    charge = FakeCharge()
    upkeep.watch(charge, 20)
    upkeep.watch(charge, 10)
    upkeep.watch(charge, 30)
    upkeep.watch(charge, 10)
    await trio.sleep(1000)
    assert charge.swept == [10]


async def test_a_wish_that_was_overtaken_does_not_come_back(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """One charge is swept once at a time, also when the next sweep falls on the moment of an old wish."""
    charge = FakeCharge(lambda now: 20 if now < 20 else inf)
    upkeep.watch(charge, 20)
    upkeep.watch(charge, 10)
    await trio.sleep(1000)
    assert charge.swept == [10, 20]


async def test_an_earlier_wish_wakes_the_sweeper(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """It sleeps until the earliest time there is, whoever asks, and whenever."""
    charges = [FakeCharge() for _ in range(4)]
    upkeep.watch(charges[0], 100)
    await wait_all_tasks_blocked()
    for number, charge in enumerate(charges[1:], 1):
        upkeep.watch(charge, 100 - number)
    await trio.sleep(1000)
    assert [charge.swept for charge in charges] == [[100], [99], [98], [97]]


async def test_many_are_due_at_once(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """All are swept, in the order in which they asked."""
    order: list[int] = []

    def note(number: int) -> Callable[[float], float]:
        def again(now: float) -> float:
            order.append(number)
            return inf

        return again

    for number in range(5):
        upkeep.watch(FakeCharge(note(number)), 10)
    await trio.sleep(1000)
    assert order == [0, 1, 2, 3, 4]


async def test_a_wish_during_a_sweep(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """What a sweep causes may ask for another one, for itself or for others."""
    other = FakeCharge()

    def again(now: float) -> float:
        upkeep.watch(other, now + 1)
        upkeep.watch(charge, now + 2)
        return now + 3 if now < 10 else inf

    charge = FakeCharge(again)
    upkeep.watch(charge, 9)
    await trio.sleep(11.5)
    assert charge.swept == [9, 11]
    assert other.swept == [10]


async def test_a_bug_in_one_connection(
    upkeep: Upkeep, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What raises is let go of and logged, swept or flushed; the others are looked after as before."""

    class Broken(FakeCharge):
        def flush(self) -> None:
            raise ZeroDivisionError

    swept, flushed, other = FakeCharge(lambda now: 1 // 0), Broken(), FakeCharge()
    upkeep.watch(swept, 1)
    upkeep.watch(other, 1)
    upkeep.flush_soon(flushed)
    upkeep.flush_soon(other)
    await trio.sleep(2)
    assert (swept.abandoned, flushed.abandoned, other.abandoned) == (True, True, False)
    assert (other.swept, other.flushed) == ([1], 1)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


async def test_a_wish_for_now(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """A time that has come already is now."""
    await trio.sleep(10)
    charge = FakeCharge()
    upkeep.watch(charge, 3)
    await wait_all_tasks_blocked()
    assert charge.swept == [10]


async def test_never_is_no_wish(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """A limit of ``inf`` means that nobody has to look."""
    charge = FakeCharge()
    upkeep.watch(charge, inf)
    await trio.sleep(1000)
    assert charge.swept == []


async def test_wishes_do_not_pile_up(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """A connection that renews its deadline for ever is not remembered more often than it is swept."""
    charge = FakeCharge(lambda now: now + 10)
    for _ in range(1000):
        upkeep.watch(charge, trio.current_time() + 10)
        await trio.sleep(0.1)
    assert len(charge.swept) <= 11


# Flushing


async def test_a_flush_within_the_tick(upkeep: Upkeep) -> None:
    """Whoever asks is flushed once, before the flusher sleeps again."""
    charges = [FakeCharge() for _ in range(3)]
    await wait_all_tasks_blocked()
    for charge in charges:
        upkeep.flush_soon(charge)
    assert [charge.flushed for charge in charges] == [0, 0, 0]
    await wait_all_tasks_blocked()
    assert [charge.flushed for charge in charges] == [1, 1, 1]


async def test_a_flush_that_is_asked_for_before_it_runs() -> None:
    """It comes with the first turn."""
    upkeep = Upkeep()
    charge = FakeCharge()
    upkeep.flush_soon(charge)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(upkeep.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert charge.flushed == 1


async def test_a_flush_asked_for_by_a_flush(upkeep: Upkeep) -> None:
    """It comes a tick later, so that nobody can keep the flusher for itself."""
    second = FakeCharge()

    class First(FakeCharge):
        def flush(self) -> None:
            super().flush()
            if self.flushed < 3:
                upkeep.flush_soon(self)
            upkeep.flush_soon(second)

    first = First()
    upkeep.flush_soon(first)
    await wait_all_tasks_blocked()
    assert first.flushed == 3
    assert second.flushed == 3


async def test_a_flush_while_the_flusher_takes_its_turn(upkeep: Upkeep) -> None:
    """No wish is lost between its looking and its sleeping."""
    charge = FakeCharge()
    await wait_all_tasks_blocked()
    for asked in range(1, 50):
        upkeep.flush_soon(charge)
        while charge.flushed < asked:
            await trio.lowlevel.checkpoint()


async def test_cancelling_ends_both(autojump_clock: MockClock) -> None:
    """After that nobody looks any more."""
    upkeep = Upkeep()
    charge = FakeCharge()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(upkeep.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    upkeep.watch(charge, 1)
    upkeep.flush_soon(charge)
    await trio.sleep(100)
    assert charge.swept == []
    assert charge.flushed == 0


# A loop that was blocked


async def test_nobody_is_judged_right_after_a_block(upkeep: Upkeep, mock_clock: MockClock) -> None:
    """A sweeper that comes late, since something blocked the loop, first lets everybody catch up."""
    charge = FakeCharge()
    upkeep.watch(charge, 5)
    await wait_all_tasks_blocked()
    mock_clock.jump(30)
    await wait_all_tasks_blocked()
    assert charge.swept == []
    mock_clock.jump(1)
    await wait_all_tasks_blocked()
    assert charge.swept == [31]


async def test_a_little_late_is_not_blocked(upkeep: Upkeep, mock_clock: MockClock) -> None:
    """A few milliseconds are how loops are."""
    charge = FakeCharge()
    upkeep.watch(charge, 5)
    await wait_all_tasks_blocked()
    mock_clock.jump(5.1)
    await wait_all_tasks_blocked()
    assert charge.swept == [5.1]


# Reading on


class FakeReading(FakeCharge):
    """Reads on for so many turns, and fails in the last one if it is meant to."""

    def __init__(self, upkeep: Upkeep, turns: int, *, fails: bool = False) -> None:
        super().__init__()
        self.upkeep = upkeep
        self.turns = turns
        self.fails = fails

    def read_on(self) -> None:
        self.turns -= 1
        if self.turns:
            self.upkeep.read_on_soon(self)
        elif self.fails:
            raise ValueError("a bug")


class Ticks(trio.abc.Instrument):
    """Counts the scheduler's ticks."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_those_who_read_on_take_turns(upkeep: Upkeep) -> None:
    """Sixteen in a tick, and who has been there goes to the end of the line."""
    ticks, order = Ticks(), list[int]()
    seen = Counter[int]()

    class Numbered(FakeReading):
        def read_on(self) -> None:
            super().read_on()
            order.append(readings.index(self))
            seen[ticks.count] += 1

    readings = [Numbered(upkeep, 3) for _ in range(20)]
    await wait_all_tasks_blocked()
    trio.lowlevel.add_instrument(ticks)
    for reading in readings:
        upkeep.read_on_soon(reading)
    await wait_all_tasks_blocked()
    trio.lowlevel.remove_instrument(ticks)
    assert order == [*range(20)] * 3
    assert [seen[tick] for tick in sorted(seen)] == [16, 16, 16, 12]


async def test_one_that_cannot_read_on_is_let_go(upkeep: Upkeep, caplog: pytest.LogCaptureFixture) -> None:
    """The others go on."""
    broken, other = FakeReading(upkeep, 1, fails=True), FakeReading(upkeep, 2)
    upkeep.read_on_soon(broken)
    upkeep.read_on_soon(other)
    await wait_all_tasks_blocked()
    assert broken.abandoned
    assert not other.abandoned
    assert other.turns == 0
    assert "failed inside the server" in caplog.text
