"""Runs every job on every peer, one after the other and in turn, several times."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from .jobs import Job
from .load import LoadError, Programs, Sample, run_load
from .servers import Peer, open_server


@attrs.frozen
class Measurement:
    """One peer at one job in one round: what was found, or why there is nothing."""

    job: str
    peer: str
    round: int
    sample: Sample | None
    error: str | None = None


def schedule(jobs: Sequence[Job], peers: Sequence[Peer], rounds: int) -> Iterator[tuple[Job, Peer, int]]:
    """Yield the order of the runs.

    The peers of one job follow each other closely, so that a machine that becomes slower or faster does so for all of
    them, and every round begins with another peer, so that none is always the first.
    """
    for job in jobs:
        able = [peer for peer in peers if job.name not in peer.skips]
        for number in range(rounds if job.rounds is None else min(rounds, job.rounds)):
            first = number % len(able)
            for peer in (*able[first:], *able[:first]):
                yield job, peer, number


async def compare(
    runs: Sequence[tuple[Job, Peer, int]],
    *,
    programs: Programs,
    cores: tuple[int, int],
    seconds: float,
    certificate: Mapping[str, str] | None = None,
    on_start: Callable[[Job, Peer, int], None] = lambda job, peer, number: None,
) -> list[Measurement]:
    """Do all the runs, each with a server of its own, and return what was measured.

    A peer that fails at a job is not asked again in the rounds that follow.

    Args:
        runs: What to do, in this order.
        programs: The compiled load generator, and the floor.
        cores: The server's and the load generator's.
        seconds: How long one run measures.
        certificate: What `make_certificate` gave, if there are jobs with TLS.
        on_start: Called before each run.
    """
    measurements: list[Measurement] = []
    failed: set[tuple[str, str]] = set()
    server_core, load_core = cores
    for job, peer, number in runs:
        if (job.name, peer.name) in failed:
            continue
        on_start(job, peer, number)
        try:
            program = programs.for_job(job)
            variables = _environment(job, certificate)
            async with open_server(peer, server_core, floor=programs.floor, variables=variables) as (pid, port):
                sample = await run_load(program, load_core, job, pid=pid, port=port, seconds=seconds)
        except LoadError as error:
            failed.add((job.name, peer.name))
            measurements.append(Measurement(job.name, peer.name, number, None, str(error)))
        else:
            measurements.append(Measurement(job.name, peer.name, number, sample))
    return measurements


def _environment(job: Job, certificate: Mapping[str, str] | None) -> Mapping[str, str]:
    if not job.tls:
        return {}
    if certificate is None:
        raise LoadError("TLS needs a certificate, which trustme makes: pip install -e '.[bench]'")
    return certificate
