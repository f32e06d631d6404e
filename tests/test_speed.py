"""A guard against becoming slow: processor time per message, beside a server that is always installed.

Both servers run on this machine in turn, so a slow machine slows both down, and processor time does not count what
other programs take. What is left of the noise has room: a bound is `ROOM` times what was measured.
"""

import sys

import pytest
import trio

from benchmarks.comparison import Comparison, schedule
from benchmarks.jobs import JOBS
from benchmarks.load import compiled_programs, find_compiler
from benchmarks.processes import choose_cores, raise_descriptor_limit
from benchmarks.report import Row, summarize
from benchmarks.servers import OURS, find_peers

BESIDE = "trio-websocket"

# How many times as much processor time a message costs there (CPython 3.11, on a machine that was busy otherwise), and
# how much of that must be left.
MEASURED = {"echo-100": 6.0, "fan-100": 6.6}
ROOM = 0.6

SECONDS = 0.4
ROUNDS = 2


def measure() -> dict[str, Row]:
    """Return how the server beside us did at each job."""
    jobs = [JOBS[name] for name in MEASURED]
    known = find_peers()
    peers = [known[OURS], known[BESIDE]]
    runs = list(schedule(jobs, peers, ROUNDS))
    with compiled_programs() as programs:
        comparison = Comparison(programs=programs, cores=choose_cores(), seconds=SECONDS)
        trio.run(comparison.run, runs)
    rows = summarize(comparison.measurements, jobs, peers)
    errors = [f"{row.peer} at {row.job}: {row.error}" for row in rows if row.error]
    assert not errors, errors
    return {row.job: row for row in rows if row.peer == BESIDE}


def too_slow(rows: dict[str, Row]) -> list[str]:
    """Return a sentence for each job that costs more than it may."""
    sentences = []
    for job, measured in MEASURED.items():
        ratio = rows[job].cpu_ratio
        assert ratio is not None
        if ratio < ROOM * measured:
            sentences.append(
                f"{job}: {BESIDE} took {ratio:.1f} times the processor time of wsframework for a message. It was "
                f"{measured:.1f} times and must be at least {ROOM * measured:.1f} times: ours cost more than before. "
                f"See where with `python -m benchmarks --jobs {job} --peers {OURS},{BESIDE}` on this commit and before."
            )
    return sentences


@pytest.mark.skipif(
    sys.platform != "linux" or find_compiler() is None, reason="the load generator needs Linux and a C compiler"
)
def test_a_message_costs_no_more_than_it_did() -> None:
    """An echoed and a published message cost a small part of the processor time that they cost on trio-websocket."""
    raise_descriptor_limit()
    slow = too_slow(measure())
    if slow:  # once more, in case that something unusual went on
        slow = too_slow(measure())
    assert not slow, "\n".join(slow)
