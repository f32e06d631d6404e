"""Writes what was measured as a page of the documentation."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .jobs import Job, Mode
from .report import Report, Row, columns_of, notes
from .servers import FLOOR, OURS, Peer

DOCS = Path(__file__).parent.parent / "docs"
PAGE = "reference/speed.md"
CHART = "assets/speed.svg"
COMMAND = "python -m benchmarks --write-docs"

INTRODUCTION = """\
# Speed

This page was written by `{command}` on {date}; numbers of other days and machines differ, the ratios much less. Each
server had one core of its own and the load generator another, on the same machine, over 127.0.0.1. The servers took
turns at each job; rounds: {rounds}, of {seconds:g} s each; and each run had a fresh server. wsframework is measured
through `WebSocketEndpoint` and the hub, with its default limits and deadlines.
"""

READING = """\
How the servers are set up (no compression, no access log, the same message limit where there is one) is written in
their files, `benchmarks/peers/`. What the columns mean, and how to run all this, is in `benchmarks/README.md`.
"""

GENERATOR = """\
## Is it the load generator?

The load generator is a program in C. The floor is a server in C that does nothing but receive, unmask and send, so its
rate is what the load generator and the machine can do at a job. A number is marked with ≥ where the load generator had
no time left and the floor was not well above it: that server may be faster.
"""


def make_page(report: Report, jobs: Sequence[Job], peers: Sequence[Peer]) -> str:
    """Return the page in Markdown."""
    others = [peer for peer in peers if peer.name not in (OURS, FLOOR)]
    rounds = 1 + max((measurement.round for measurement in report.measurements), default=0)
    parts = [
        INTRODUCTION.format(command=COMMAND, date=report.machine["date"], rounds=rounds, seconds=report.seconds),
        f"![Bar charts of the numbers in the tables below](../{CHART})\n",
        _machine(report),
        "## How many times as fast wsframework is\n",
        "For memory: how many times as small. The medians of the ratios of the rounds.\n",
        _overview(report.summary, jobs, others, _ratio_cell),
        "## How many times as much processor time a message costs on the others\n",
        "The server's time, user and system. Other work on the machine disturbs this less than the rate.\n",
        _overview(report.summary, [job for job in jobs if job.mode is not Mode.IDLE], others, _cpu_cell),
        "## The numbers\n",
        READING,
    ]
    for job in jobs:
        rows = [row for row in report.summary if row.job == job.name]
        parts += [f"### {job.name}: {job.title}\n", _job_table(job, rows), *_notes(rows, job)]
    parts += [GENERATOR, _generator_table(report.summary, jobs)]
    return "\n".join(parts)


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in headings[1:])]
    return "".join(f"| {' | '.join(line)} |\n" for line in (headings, rule, *lines))


def _machine(report: Report) -> str:
    machine = report.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    left_out = "".join(f"\n\n{name} was left out: {reason}" for name, reason in report.left_out.items())
    here = f"{machine['processor']}, {machine['cores']} cores; {machine['system']}; {machine['python']}"
    return f"{here}; {packages}.{left_out}\n"


def _overview(
    rows: Sequence[Row], jobs: Sequence[Job], peers: Sequence[Peer], make_cell: Callable[[Row | None], str]
) -> str:
    by_run = {(row.job, row.peer): row for row in rows}
    lines = []
    for job in jobs:
        cells = [make_cell(by_run.get((job.name, peer.name))) for peer in peers]
        lines.append([job.name, *cells])
    return _table(["job", *(peer.name for peer in peers)], lines)


def _ratio_cell(row: Row | None) -> str:
    if row is None or row.median is None:
        return "stands still" if row is not None and row.error and "held up" in row.error else "-"
    if row.ratio is None:
        return "-"
    return f"{'≤ ' * row.generator_bound}{row.ratio:.2f}"


def _cpu_cell(row: Row | None) -> str:
    return "-" if row is None or row.cpu_ratio is None else f"{row.cpu_ratio:.2f}"


def _job_table(job: Job, rows: Sequence[Row]) -> str:
    columns = columns_of(job)
    lines = [[_name(row), *(cell(row) for _, cell in columns)] for row in rows]
    return _table(["peer", *(heading.replace("us", "µs") for heading, _ in columns)], lines)


def _name(row: Row) -> str:
    return f"**{row.peer}**" if row.peer == OURS else f"*{row.peer}*" if row.peer == FLOOR else row.peer


def _notes(rows: Sequence[Row], job: Job) -> list[str]:
    return [f"{', '.join(names)}: {note}.\n" for note, names in notes(rows, job).items()]


def _generator_table(rows: Sequence[Row], jobs: Sequence[Job]) -> str:
    lines = []
    for job in jobs:
        mine = [row for row in rows if row.job == job.name and row.peer != FLOOR and row.median and row.median.rate]
        if job.mode is Mode.IDLE or not mine:
            continue
        fastest = max(mine, key=lambda row: (row.median and row.median.rate) or 0)
        assert fastest.median is not None
        times = "-" if fastest.headroom is None else f"{fastest.headroom:.1f}x"
        lines.append([job.name, fastest.peer, f"{fastest.median.generator_busy or 0:.0%}", times])
    return _table(["job", "fastest server", "load generator busy with it", "the floor, beside it"], lines)
