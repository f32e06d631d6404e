"""What wsframework is to reach beside others, and whether it does."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs

from .comparison import Measurement
from .jobs import JOBS
from .load import Sample
from .servers import FLOOR, OURS, WITH_HISTORY, WITH_PRESENCE

KIB = 1024

UVICORN = "starlette-uvicorn"
HYPERCORN = "starlette-hypercorn"
BROADCAST = "websockets-uvloop"
PYTHON = "the smallest server in Python"
COMPILED = ("granian", "picows", "socketify", FLOOR)  # their connections live outside of Python

Measure = Callable[[Sample, Sample], float | None]
"""Makes a number of our sample and the one that it is compared with."""


def _rate(ours: Sample, theirs: Sample) -> float | None:
    return ours.rate / theirs.rate if ours.rate is not None and theirs.rate else None


def _latency(ours: Sample, theirs: Sample) -> float | None:
    return ours.p99_us / theirs.p99_us if ours.p99_us and theirs.p99_us else None


def _memory(ours: Sample, theirs: Sample) -> float | None:
    return (
        theirs.connection_bytes / ours.connection_bytes if ours.connection_bytes and theirs.connection_bytes else None
    )


def _kibibytes(ours: Sample, theirs: Sample) -> float | None:
    return None if ours.connection_bytes is None else ours.connection_bytes / KIB


def _growth(ours: Sample, theirs: Sample) -> float | None:
    if ours.growth_bytes is None or theirs.growth_bytes is None:
        return None
    return max(0.0, ours.growth_bytes - theirs.growth_bytes) / JOBS["fan-4k-frozen"].frozen / KIB / KIB


@attrs.frozen(kw_only=True)
class Goal:
    """One line to reach."""

    job: str
    what: str
    wanted: float
    measure: Measure = _rate
    at_most: bool = False
    unit: str = "x"
    ours: str = OURS
    beside: str = OURS
    """The peer with which we are compared; `PYTHON` is the one of them that does best."""

    beside_job: str | None = None
    """Its job, if that is another one."""


@attrs.frozen
class Outcome:
    """A goal, and what was measured."""

    goal: Goal
    measured: float | None
    """The median over the rounds; None: it was not measured."""

    beside: str
    """The peer with which we were compared."""

    @property
    def is_reached(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured <= self.goal.wanted if self.goal.at_most else self.measured >= self.goal.wanted

    @property
    def margin(self) -> float | None:
        """How many times as good as wanted it is; below 1 where the goal is not reached."""
        if not self.measured:
            return None
        return self.goal.wanted / self.measured if self.goal.at_most else self.measured / self.goal.wanted


def _goals() -> Iterator[Goal]:
    for job, beside, wanted in (
        ("echo-100", UVICORN, 1.6),
        ("echo-100", HYPERCORN, 8),
        ("echo-100", "picows", 0.6),
        ("echo-1000", UVICORN, 2.5),
        ("echo-1", UVICORN, 1),
        ("echo-100x16", UVICORN, 4),
        ("echo-16k", UVICORN, 1.2),
    ):
        yield Goal(job=job, what="rate", wanted=wanted, beside=beside)
    for ours, option in ((OURS, ""), (WITH_HISTORY, ", history on"), (WITH_PRESENCE, ", presence on")):
        for job, beside, wanted in (
            ("fan-1000", UVICORN, 3),
            ("fan-1000", BROADCAST, 1.8),
            ("fan-1000", "socketify", 0.8),
            ("fan-1000x16", UVICORN, 15),
            ("fan-1000x16", "socketify", 0.7),
        ):
            yield Goal(job=job, what=f"rate{option}", wanted=wanted, ours=ours, beside=beside)
    yield Goal(job="connect", what="rate", wanted=2, beside=UVICORN)
    memory = {"job": "idle-10000", "what": "memory of a connection"}
    yield Goal(**memory, wanted=10, measure=_kibibytes, at_most=True, unit=" KiB")
    yield Goal(**memory, wanted=1, measure=_memory, beside=PYTHON)
    frozen = {"job": "fan-4k-frozen", "beside_job": "fan-4k"}
    yield Goal(**frozen, what="rate of the others", wanted=1 / 1.2)
    yield Goal(**frozen, what="99th percentile of the others", wanted=1.2, measure=_latency, at_most=True)
    # What may wait for a client is 1 MiB, and as much again is a write under way and what Python's allocator rounds up.
    yield Goal(**frozen, what="memory for each frozen client", wanted=2, measure=_growth, at_most=True, unit=" MiB")


GOALS: tuple[Goal, ...] = tuple(_goals())

_Found = Mapping[tuple[str, str], Mapping[int, Sample]]


def evaluate(measurements: Iterable[Measurement]) -> list[Outcome]:
    """Return what became of every goal whose job was measured."""
    found: dict[tuple[str, str], dict[int, Sample]] = {}
    for measurement in measurements:
        if measurement.sample is not None:
            key = measurement.job, measurement.peer
            found.setdefault(key, {})[measurement.round] = measurement.sample
    return [_outcome(goal, found) for goal in GOALS if (goal.job, goal.ours) in found]


def _outcome(goal: Goal, found: _Found) -> Outcome:
    beside = [goal.beside]
    if goal.beside == PYTHON:
        beside = [peer for job, peer in found if job == goal.job and peer not in (OURS, *COMPILED)]
    measured = {peer: _median(goal, found, peer) for peer in beside}
    known = [(value, peer) for peer, value in measured.items() if value is not None]
    if not known:
        return Outcome(goal, None, goal.beside)
    return Outcome(goal, *(max if goal.at_most else min)(known))


def _median(goal: Goal, found: _Found, beside: str) -> float | None:
    """Rounds are compared one by one: what slowed the machine down in a round slowed both of them down."""
    ours = found[goal.job, goal.ours]
    theirs = found.get((goal.beside_job or goal.job, beside), {})
    values = [goal.measure(ours[number], theirs[number]) for number in ours if number in theirs]
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
