"""Turns measurements into medians and ratios, a table for the terminal and JSON to keep."""

import datetime
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from .comparison import Measurement
from .jobs import Job, Mode
from .load import Sample
from .servers import FLOOR, Peer

# A generator that is busier than this may be what limits the rate, unless the floor got so much more through it at the
# same job: where messages come one by one the generator is busy with waking up, and does more at a time when it must.
GENERATOR_LIMIT = 0.9
HEADROOM = 1.2

# A server that had less of its core than this, with work waiting all the time, had to share it.
SERVER_LIMIT = 0.9

PACKAGES = (
    "wsframework trio hypercorn starlette uvicorn uvloop websockets wsproto trio-websocket picows granian socketify "
    "litestar"
).split()


@attrs.frozen
class Row:
    """One peer at one job: the medians of its rounds."""

    job: str
    peer: str
    median: Sample | None
    ratio: float | None = None
    """How many times as good the baseline is: as fast, or as small for memory. The median of the rounds' ratios."""

    cpu_ratio: float | None = None
    """How many times as much processor time a message costs as on the baseline."""

    spread: float | None = None
    """How far the rounds lie apart: the largest rate less the smallest, as a part of the median."""

    headroom: float | None = None
    """How many times as much the floor got through the same load generator at this job."""

    frozen_rate: float | None = None
    """With frozen clients: the rate, as a part of the rate without."""

    frozen_p99: float | None = None
    """With frozen clients: how many times as long the 99th percentile of the others is as without."""

    frozen_bytes: float | None = None
    """How much more the server's memory grew for each frozen client, in bytes."""

    error: str | None = None

    @property
    def stalled(self) -> bool:
        """Whether frozen clients held up all the others."""
        return self.median is not None and self.median.stalled_after is not None

    @property
    def generator_bound(self) -> bool:
        """Whether the load generator may have limited the rate."""
        busy = self.median is not None and (self.median.generator_busy or 0) > GENERATOR_LIMIT
        return busy and not (self.headroom is not None and self.headroom >= HEADROOM)


def summarize(measurements: Iterable[Measurement], jobs: Sequence[Job], peers: Sequence[Peer]) -> list[Row]:
    """Return a row for every job and peer. The first peer is the baseline of the ratios."""
    by_run = {(m.job, m.peer, m.round): m for m in measurements}
    rows = []
    for job in jobs:
        base = _samples(by_run.values(), job.name, peers[0].name)
        floor = _median(sample.rate for sample in _samples(by_run.values(), job.name, FLOOR).values())
        for peer in peers:
            if not peer.does(job.name):
                continue
            samples = _samples(by_run.values(), job.name, peer.name)
            errors = [m.error for m in by_run.values() if (m.job, m.peer) == (job.name, peer.name) and m.error]
            if not samples:
                rows.append(Row(job.name, peer.name, None, error=errors[0] if errors else "not measured"))
                continue
            # Rounds are compared one by one: what slowed the machine down in a round slowed both of them down.
            pairs = [(base[number], sample) for number, sample in samples.items() if number in base]
            if job.mode is Mode.IDLE:
                ratio = _median(_ratio(theirs.connection_bytes, ours.connection_bytes) for ours, theirs in pairs)
            else:
                ratio = _median(_ratio(ours.rate, theirs.rate) for ours, theirs in pairs)
            median = _median_sample(list(samples.values()))
            rows.append(
                Row(
                    job.name,
                    peer.name,
                    median,
                    ratio,
                    _median(_ratio(theirs.cpu_us, ours.cpu_us) for ours, theirs in pairs),
                    _spread([sample.rate for sample in samples.values() if sample.rate is not None]),
                    None if peer.name == FLOOR else _ratio(floor, median.rate),
                    **_with_frozen(job, samples, _samples(by_run.values(), job.against or "", peer.name)),
                    error=errors[0] if errors else None,
                )
            )
    return rows


def _with_frozen(job: Job, frozen: dict[int, Sample], free: dict[int, Sample]) -> dict[str, float | None]:
    if not job.frozen:
        return {}
    pairs = [(sample, free[number]) for number, sample in frozen.items() if number in free]
    grown = _median(
        a.growth_bytes - b.growth_bytes for a, b in pairs if a.growth_bytes is not None and b.growth_bytes is not None
    )
    return {
        "frozen_rate": _median(_ratio(a.rate, b.rate) for a, b in pairs),
        "frozen_p99": _median(_ratio(a.p99_us, b.p99_us) for a, b in pairs),
        "frozen_bytes": None if grown is None else max(0.0, grown) / job.frozen,
    }


def _samples(measurements: Iterable[Measurement], job: str, peer: str) -> dict[int, Sample]:
    return {m.round: m.sample for m in measurements if m.job == job and m.peer == peer and m.sample is not None}


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _median_sample(samples: Sequence[Sample]) -> Sample:
    names = [field.name for field in attrs.fields(Sample) if field.name != "missing"]
    medians = {name: _median(getattr(sample, name) for sample in samples) for name in names}
    return Sample(**medians, missing=sum(sample.missing for sample in samples))


def _spread(rates: Sequence[float]) -> float | None:
    return (max(rates) - min(rates)) / statistics.median(rates) if rates and all(rates) else None


# ------------------------------------------------------------------------------------------------- the table


def print_report(console: Console, rows: Sequence[Row], jobs: Sequence[Job], peers: Sequence[Peer]) -> None:
    """Print a table per job and what needs to be said about it."""
    for job in jobs:
        mine = [row for row in rows if row.job == job.name]
        columns = columns_of(job)
        table = Table(title=f"{job.name}: {job.title}", title_justify="left", title_style="bold", box=box.SIMPLE)
        table.add_column("peer", no_wrap=True)
        for heading, _ in columns:
            table.add_column(heading, justify="right", no_wrap=True)
        for row in mine:
            style = "bold" if row.peer == peers[0].name else None
            table.add_row(row.peer, *(cell(row) for _, cell in columns), style=style)
        console.print(table)
        for note, names in notes(mine, job).items():
            console.print(f"  {', '.join(names)}: {note}", style="yellow", markup=False, highlight=False)
        console.print()
    console.print(
        f"ratio: how many times as fast (as small, for memory) {peers[0].name} is. CPU ratio: how many times its"
    )
    console.print("processor time per message the peer takes. Medians; how to read them is in benchmarks/README.md.")


def _number(name: str, form: str, scale: float = 1) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = getattr(row.median, name, None) if row.median is not None else None
        return "-" if value is None else form.format(value * scale)

    return cell


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


Column = tuple[str, Callable[[Row], str]]


def columns_of(job: Job) -> Sequence[Column]:
    """Return what a table of this job has beside the peers' names: headings, and what makes the cells."""
    if job.mode is Mode.IDLE:
        return _IDLE_COLUMNS
    return (*_COLUMNS, *_FROZEN_COLUMNS) if job.against else _COLUMNS


_COLUMNS: Sequence[Column] = (
    ("per second", _number("rate", "{:,.0f}")),
    ("ratio", lambda row: _times(row.ratio)),
    ("+-", lambda row: "-" if row.spread is None else f"{row.spread / 2:.0%}"),
    ("p50 µs", _number("p50_us", "{:,.0f}")),
    ("p99 µs", _number("p99_us", "{:,.0f}")),
    ("CPU µs", _number("cpu_us", "{:,.2f}")),
    ("CPU ratio", lambda row: _times(row.cpu_ratio)),
    ("server", _number("server_busy", "{:.0%}")),
    ("generator", _number("generator_busy", "{:.0%}")),
)

_FROZEN_COLUMNS: Sequence[Column] = (
    ("rate, frozen/not", lambda row: _times(row.frozen_rate)),
    ("p99, frozen/not", lambda row: _times(row.frozen_p99)),
    ("MiB per frozen", lambda row: "-" if row.frozen_bytes is None else f"{row.frozen_bytes / 1024 / 1024:,.1f}"),
)

_IDLE_COLUMNS: Sequence[Column] = (
    ("KiB per connection", _number("connection_bytes", "{:,.1f}", 1 / 1024)),
    ("ratio", lambda row: _times(row.ratio)),
)


def notes(rows: Iterable[Row], job: Job) -> dict[str, list[str]]:
    """Return what has to be said beside the numbers, and of which peers."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for note in _notes_on(row, job):
            found.setdefault(note, []).append(row.peer)
    return found


def _notes_on(row: Row, job: Job) -> Iterable[str]:
    if row.error is not None:
        yield row.error
    if row.median is None:
        return
    if row.median.stalled_after is not None:
        yield (
            f"stalled: {job.frozen} clients that do not read held up all the others, who got nothing for five seconds "
            f"after {row.median.stalled_after:,.0f} messages"
        )
        return
    if row.median.missing:
        yield f"{row.median.missing:,} messages had not arrived two seconds after the end"
    if row.peer == FLOOR:
        return
    if row.generator_bound:
        yield "generator-bound: the load generator was busy nearly all the time, so the server may be faster than this"
    elif job.keeps_busy and row.median.server_busy is not None and row.median.server_busy < SERVER_LIMIT:
        yield "neither side had its core all the time: something else runs here, so trust the CPU columns more"


# ---------------------------------------------------------------------------------------------------- JSON


def describe_machine(cores: tuple[int, int]) -> dict[str, Any]:
    """Return what someone needs to know who compares two reports."""
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "server_core": cores[0],
        "generator_core": cores[1],
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "load": round(os.getloadavg()[0], 2),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


@attrs.frozen
class Report:
    """Everything that a run of the command found out, as it is kept in a file."""

    machine: dict[str, Any]
    seconds: float
    """How long each run measured."""

    measurements: list[Measurement]
    summary: list[Row]
    left_out: dict[str, str] = attrs.field(factory=dict)
    """Peers that could not run here, and why."""

    minutes: float = 0.0
    """How long all of it took."""

    def rounds(self, job: str) -> int:
        """Return how many rounds a job had."""
        return len({measurement.round for measurement in self.measurements if measurement.job == job})

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @classmethod
    def read(cls, path: Path) -> "Report":
        """Read what `write` has written.

        Raises:
            ValueError: The file holds something else.
        """
        return msgspec.json.decode(path.read_bytes(), type=cls)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
