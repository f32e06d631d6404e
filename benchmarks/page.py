"""Writes what was measured as a page of the documentation."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .goals import Outcome, evaluate
from .jobs import Job, Mode
from .report import Report, Row, columns_of, notes
from .servers import FLOOR, OURS, WITH_HISTORY, WITH_PRESENCE, Peer

DOCS = Path(__file__).parent.parent / "docs"
PAGE = "reference/speed.md"
CHART = "assets/speed.svg"
COMMAND = "python -m benchmarks --write-docs"

INTRODUCTION = """\
# Speed

This page was written by `{command}` on {date}; numbers of other days and machines differ, the ratios much less. Each
server had one core of its own and the load generator another, on the same machine, over 127.0.0.1. The servers took
turns at each job, each run had a fresh server and measured for {seconds:g} s, and all of it took {minutes:.0f} minutes.
wsframework is measured through `WebSocketEndpoint` and the hub, with its default limits and deadlines.
"""

GOALS = """\
## The goals

What wsframework is to reach in one run, as medians over the rounds. "x" stands for times as fast, or as small. The last
column says how far the number is above the goal, or below it.
"""

OPTIONS = """\
## What history and presence cost

The same fan-out with `Hub(history=History())`, and with every subscriber present: how many times as fast, and how many
times as much processor time a message costs, beside the hub without them.
"""

FROZEN = """\
## When 1 % of the clients do not read

Ten of a thousand subscribers stop reading, and counted are the others. "Stalled" means that they got nothing more: the
server waited for one of the ten. Memory is how much more the server's grew, at its highest, than with nobody frozen;
where nothing bounds it, it is what was published until the run ended, so a longer run needs more.
"""

READING = """\
How the servers are set up (no compression, no access log, the same message limit where there is one) is written in
their files, `benchmarks/peers/`. What the columns mean, and how to run all this, is in `benchmarks/README.md`.
"""

GENERATOR = """\
## Is it the load generator?

The load generator is a program in C. The floor is a server in C that does nothing but receive, unmask and send, so its
rate is what the load generator and the machine can do at a job. Where the load generator had no time left and the
floor was not well above it, that server may be faster: its ratio is marked with ≤ in the tables, its rate with ≥ in the
chart.
"""

BUSY = """\
**Other programs ran meanwhile.** So the rates say little; processor time and memory are disturbed less.\
"""

VARIANTS = (WITH_HISTORY, WITH_PRESENCE)


def make_page(report: Report, jobs: Sequence[Job], peers: Sequence[Peer]) -> str:
    """Return the page in Markdown."""
    others = [peer for peer in peers if peer.name not in (OURS, *VARIANTS, FLOOR)]
    introduction = INTRODUCTION.format(
        command=COMMAND, date=report.machine["date"], seconds=report.seconds, minutes=report.minutes
    )
    parts = [
        introduction,
        _machine(report),
        f"![Bar charts of the numbers in the tables below](../{CHART})\n",
        *_goals(report),
        "## How many times as fast wsframework is\n",
        "For memory: how many times as small. The medians of the ratios of the rounds.\n",
        _overview(report, jobs, others, ratio_cell),
        "## How many times as much processor time a message costs on the others\n",
        "The server's time, user and system. Other work on the machine disturbs this less than the rate.\n",
        _overview(report, [job for job in jobs if job.mode is not Mode.IDLE], others, _cpu_cell),
        *_options(report),
        *_frozen(report, jobs),
        "## The numbers\n",
        READING,
    ]
    for job in jobs:
        rows = [row for row in report.summary if row.job == job.name]
        rounds = report.rounds(job.name)
        parts += [
            f"### {job.name}: {job.title}\n",
            f"{'One round' if rounds == 1 else f'{rounds} rounds'}.\n",
            _job_table(job, rows),
            *_notes(rows, job),
        ]
    parts += [GENERATOR, _generator_table(report.summary, jobs)]
    return "\n".join(parts)


def _goals(report: Report) -> Sequence[str]:
    lines = []
    for outcome in evaluate(report.measurements):
        goal, unit = outcome.goal, outcome.goal.unit
        reached = {None: "not measured", True: "reached", False: "**not reached**"}[outcome.is_reached]
        beside = goal.beside_job if outcome.beside == goal.ours and goal.beside_job else outcome.beside
        lines.append(
            [
                goal.job,
                goal.what,
                "-" if beside == goal.ours else beside,
                f"{'≤' if goal.at_most else '≥'} {goal.wanted:.3g}{unit}",
                "-" if outcome.measured is None else f"{outcome.measured:.2f}{unit}",
                reached,
                _margin(outcome),
            ]
        )
    if not lines:
        return ()
    return GOALS, table(["job", "what", "beside", "goal", "measured", "", "by"], lines, 3)


def _margin(outcome: Outcome) -> str:
    if outcome.margin is None:
        return "-"
    return "far" if outcome.margin > 5 else f"{outcome.margin - 1:+.0%}".replace("%", " %")


def _options(report: Report) -> Sequence[str]:
    lines = [
        [row.job, row.peer, f"{1 / row.ratio:.2f}x", f"{row.cpu_ratio:.2f}x"]
        for row in report.summary
        if row.peer in VARIANTS and row.ratio and row.cpu_ratio
    ]
    return (OPTIONS, table(["job", "", "rate", "processor time"], lines, 2)) if lines else ()


def _frozen(report: Report, jobs: Sequence[Job]) -> Sequence[str]:
    tables = []
    for job in jobs:
        rows = [row for row in report.summary if row.job == job.name and job.frozen]
        if rows:
            columns = [column for column in columns_of(job) if "frozen" in column[0]]
            headings = ["peer", *(heading for heading, _ in columns), ""]
            lines = [[_name(row), *(cell(row) for _, cell in columns), _fate(row)] for row in rows]
            tables.append(table(headings, lines))
    return (FROZEN, *tables) if tables else ()


def _fate(row: Row) -> str:
    if row.median is None:
        return row.error or "-"
    if row.median.stalled_after is not None:
        return f"stalled after {row.median.stalled_after:,.0f} messages"
    return "goes on"


def table(headings: Sequence[str], lines: Iterable[Sequence[str]], words: int = 1) -> str:
    """Return a table in Markdown, of which so many columns at the left are words and the others numbers."""
    rule = ["---" if number < words else "---:" for number in range(len(headings))]
    return "".join(f"| {' | '.join(line)} |\n" for line in (headings, rule, *lines))


def _machine(report: Report) -> str:
    machine = report.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    left_out = "".join(f"\n\n{name} was left out: {reason}" for name, reason in report.left_out.items())
    here = f"{machine['processor']}, {machine['cores']} cores, load {machine['load']:.2f} before it began"
    here += f"; {machine['system']}; {machine['python']}"
    busy = f"\n\n{BUSY}" if machine["load"] > 1 else ""
    return f"{here}; {packages}.{busy}{left_out}\n"


def _overview(
    report: Report, jobs: Sequence[Job], peers: Sequence[Peer], make_cell: Callable[[Row | None], str]
) -> str:
    by_run = {(row.job, row.peer): row for row in report.summary}
    lines = [
        [job.name, *(make_cell(by_run.get((job.name, peer.name))) for peer in peers), str(report.rounds(job.name))]
        for job in jobs
    ]
    return table(["job", *(peer.name for peer in peers), "rounds"], lines)


def ratio_cell(row: Row | None) -> str:
    """Return how many times as fast, or as small, wsframework is, as a cell of a table."""
    if row is None or row.median is None:
        return "-"
    if row.stalled:
        return "stalled"
    return "-" if row.ratio is None else f"{'≤ ' * row.generator_bound}{row.ratio:.2f}"


def _cpu_cell(row: Row | None) -> str:
    return "-" if row is None or row.cpu_ratio is None else f"{row.cpu_ratio:.2f}"


def _job_table(job: Job, rows: Sequence[Row]) -> str:
    columns = columns_of(job)
    lines = [[_name(row), *(cell(row) for _, cell in columns)] for row in rows]
    return table(["peer", *(heading for heading, _ in columns)], lines)


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
    return table(["job", "fastest server", "load generator busy with it", "the floor, beside it"], lines)
