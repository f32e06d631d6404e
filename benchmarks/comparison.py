"""Runs every job on every peer, one after the other and in turn, several times."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

import attrs

from .jobs import Job
from .load import LoadError, Programs, Sample, run_load
from .servers import Peer, open_server

Run = tuple[Job, Peer, int]


@attrs.frozen
class Measurement:
    """One peer at one job in one round: what was found, or why there is nothing."""

    job: str
    peer: str
    round: int
    sample: Sample | None
    error: str | None = None


def schedule(jobs: Sequence[Job], peers: Sequence[Peer], rounds: int) -> Iterator[Run]:
    """Yield the order of the runs.

    The peers of one job follow each other closely, so that a machine that becomes slower or faster does so for all of
    them, and every round begins with another peer, so that none is always the first. Jobs that are compared with each
    other alternate, peer by peer.
    """
    for family in dict.fromkeys(job.family for job in jobs):
        related = [job for job in jobs if job.family == family]
        able = [peer for peer in peers if any(peer.does(job.name) for job in related)]
        for number in range(max(_rounds(job, rounds) for job in related)):
            first = number % len(able)
            for peer in (*able[first:], *able[:first]):
                for job in related:
                    if number < _rounds(job, rounds) and peer.does(job.name):
                        yield job, peer, number


def _rounds(job: Job, rounds: int) -> int:
    return rounds if job.rounds is None else min(rounds, job.rounds)


class Budget:
    """Shares a time out to jobs that come one after the other.

    Each has a share in proportion to its runs; what one leaves goes to those that follow.

    Args:
        minutes: For all; None does not bound anything.
        runs: Of all jobs.
    """

    def __init__(self, minutes: float | None, runs: int) -> None:
        self._end = None if minutes is None else time.monotonic() + 60 * minutes
        self._runs = runs
        self._share_end = 0.0

    def begin(self, runs: int) -> None:
        """A job with so many runs begins."""
        if self._end is not None:
            now = time.monotonic()
            self._share_end = now + (self._end - now) * runs / self._runs
        self._runs -= runs

    def allows(self, seconds: float) -> bool:
        """Whether a further round of this job, which takes so long, fits into its share."""
        return self._end is None or time.monotonic() + seconds <= self._share_end

    @property
    def is_over(self) -> bool:
        """Whether there is no time left for any job."""
        return self._end is not None and time.monotonic() >= self._end


class Comparison:
    """Does runs, each with a server of its own, and keeps what was measured.

    A peer that fails at a job, or stands still, is not asked again in the rounds that follow.

    Args:
        programs: The compiled load generator, and the floor.
        cores: The server's and the load generator's.
        seconds: How long one run measures.
        certificate: What `make_certificate` gave, if there are jobs with TLS.
        on_start: Called before each run.
        on_job: Called after each job.
    """

    def __init__(
        self,
        *,
        programs: Programs,
        cores: tuple[int, int],
        seconds: float,
        certificate: Mapping[str, str] | None = None,
        on_start: Callable[[Job, Peer, int], None] = lambda job, peer, number: None,
        on_job: Callable[[], None] = lambda: None,
    ) -> None:
        self._programs = programs
        self._server_core, self._load_core = cores
        self._seconds = seconds
        self._certificate = certificate
        self._on_start = on_start
        self._on_job = on_job
        self._given_up: set[tuple[str, str]] = set()
        self.measurements: list[Measurement] = []

    async def run(self, runs: Sequence[Run], minutes: float | None = None) -> None:
        """Do all these runs, in this order.

        Args:
            runs: What to do.
            minutes: How long that may take: a job that has used its share has fewer rounds, though always one, and when
                the time is over the jobs that are left are not done. A run that has begun is finished.
        """
        budget = Budget(minutes, len(runs))
        for _, group in groupby(runs, key=lambda run: run[0].family):
            of_job = list(group)
            budget.begin(len(of_job))
            longest = 0.0
            for number, of_round in groupby(of_job, key=lambda run: run[2]):
                if budget.is_over or (number and not budget.allows(longest)):
                    break
                started = time.monotonic()
                for job, peer, _ in of_round:
                    if not budget.is_over:
                        await self._run(job, peer, number)
                longest = max(longest, time.monotonic() - started)
            self._on_job()

    async def _run(self, job: Job, peer: Peer, number: int) -> None:
        if (job.name, peer.name) in self._given_up:
            return
        self._on_start(job, peer, number)
        try:
            sample = await self._measure(job, peer)
        except LoadError as error:
            self._given_up.add((job.name, peer.name))
            self.measurements.append(Measurement(job.name, peer.name, number, None, str(error)))
        else:
            if sample.stalled_after is not None:
                self._given_up.add((job.name, peer.name))
            self.measurements.append(Measurement(job.name, peer.name, number, sample))

    async def _measure(self, job: Job, peer: Peer) -> Sample:
        program, floor = self._programs.for_job(job), self._programs.floor
        variables = self._environment(job)
        async with open_server(peer, self._server_core, floor=floor, variables=variables) as (pid, port):
            return await run_load(program, self._load_core, job, pid=pid, port=port, seconds=self._seconds)

    def _environment(self, job: Job) -> Mapping[str, str]:
        if not job.tls:
            return {}
        if self._certificate is None:
            raise LoadError("TLS needs a certificate, which trustme makes: pip install -e '.[bench]'")
        return self._certificate
