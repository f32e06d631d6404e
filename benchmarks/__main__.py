"""The command line: ``python -m benchmarks``."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import click
import trio
from rich.console import Console

from .chart import draw
from .comparison import compare, schedule
from .jobs import DEFAULT_JOBS, JOBS, QUICK_JOBS, Job
from .load import LoadError, compiled_programs
from .page import CHART, DOCS, PAGE, make_page
from .processes import choose_cores, raise_descriptor_limit
from .report import Report, describe_machine, print_report, summarize
from .servers import OURS, Peer, find_peers, make_certificate

T = TypeVar("T")

QUICK_PEERS = (OURS, "starlette-uvicorn", "starlette-hypercorn")


def choose(what: str, names: str, known: Mapping[str, T]) -> list[T]:
    """Return the values of comma-separated names.

    Raises:
        click.BadParameter: A name is not known.
    """
    if names == "all":
        return list(known.values())
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        problem = f"there is no {what} {unknown[0]!r}" if unknown else f"name at least one {what}"
        raise click.BadParameter(f"{problem}; there are: {', '.join(known)}")
    return [known[name] for name in wanted]


@click.command(context_settings={"max_content_width": 110})
@click.option("--jobs", "job_names", help=f"Comma-separated, or 'all'. Default: {', '.join(DEFAULT_JOBS)}.")
@click.option(
    "--peers", "peer_names", help="Comma-separated, or 'all', which is the default. The first is the baseline."
)
@click.option("--rounds", type=click.IntRange(1, 100), help="How often each peer does each job. Default: 3.")
@click.option("--seconds", type=click.FloatRange(0.1, 60), help="How long one run measures. Default: 1.")
@click.option("--quick", is_flag=True, help=f"{', '.join(QUICK_JOBS)} with three peers, one round of half a second.")
@click.option("--also", multiple=True, metavar="NAME=COMMAND", help="A further peer; its command has {port} in it.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write all numbers here.")
@click.option(
    "--read",
    "read_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Measure nothing, take the numbers that --json wrote.",
)
@click.option("--write-docs", is_flag=True, help=f"Write {PAGE} and {CHART} in docs/.")
@click.option("--list", "list_only", is_flag=True, help="Say which jobs and peers there are.")
def main(
    job_names: str | None,
    peer_names: str | None,
    rounds: int | None,
    seconds: float | None,
    quick: bool,
    also: tuple[str, ...],
    json_path: Path | None,
    read_path: Path | None,
    write_docs: bool,
    list_only: bool,
) -> None:
    """Measure wsframework and its peers side by side, on one core each for server and load generator."""
    if sys.platform != "linux":
        raise click.ClickException("The benchmarks pin processes to cores and use epoll, so they need Linux.")
    known = find_peers()
    try:
        added = {peer.name: peer for peer in map(Peer.from_option, also)}
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    known |= added
    if list_only:
        print_lists(known)
        return
    if read_path is not None:
        try:
            report = Report.read(read_path)
        except ValueError as error:
            raise click.ClickException(f"{read_path} is no file that --json wrote: {error}") from error
        names = {row.job for row in report.summary}
        jobs = [job for job in JOBS.values() if job.name in names]
        peers = [known.get(name, Peer(name, "", ())) for name in dict.fromkeys(row.peer for row in report.summary)]
    else:
        jobs = choose("job", job_names or ",".join(QUICK_JOBS if quick else DEFAULT_JOBS), JOBS)
        wanted = choose("peer", peer_names or (",".join((*QUICK_PEERS, *added)) if quick else "all"), known)
        peers, left_out = leave_out(wanted)
        report = run(jobs, peers, rounds or (1 if quick else 3), seconds or (0.5 if quick else 1.0), left_out)
    console = open_console()
    print_report(console, report.summary, jobs, peers)
    for name, reason in report.left_out.items():
        console.print(f"{name} was left out: {reason}", style="yellow", markup=False, highlight=False)
    if json_path is not None:
        report.write(json_path)
    if write_docs:
        (DOCS / PAGE).write_text(make_page(report, jobs, peers), encoding="utf-8")
        (DOCS / CHART).write_text(draw(report.summary, jobs, peers), encoding="utf-8")
    if not any(row.median for row in report.summary):
        raise click.ClickException("Nothing could be measured.")


def leave_out(peers: Sequence[Peer]) -> tuple[list[Peer], dict[str, str]]:
    """Return the peers that can run here, and of the others why not.

    Raises:
        click.ClickException: The first one, to which the others are compared, cannot.
    """
    reasons = {peer.name: reason for peer in peers if (reason := peer.why_not())}
    if peers[0].name in reasons:
        raise click.ClickException(f"{peers[0].name} cannot run here: {reasons[peers[0].name]}")
    return [peer for peer in peers if peer.name not in reasons], reasons


def print_lists(peers: Mapping[str, Peer]) -> None:
    """Print the jobs and the peers with what they are."""
    click.echo("Jobs (those with a star are the default):")
    for job in JOBS.values():
        click.echo(f"  {job.name:<26}{'*' if job.by_default else ' '} {job.title}")
    click.echo("\nPeers:")
    for peer in peers.values():
        click.echo(f"  {peer.name:<27} {peer.description}")


def open_console() -> Console:
    """Return where to print; a file has no width, and 80 columns are too few for the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=150)


def run(jobs: list[Job], peers: list[Peer], rounds: int, seconds: float, left_out: dict[str, str]) -> Report:
    """Measure."""
    console = open_console()
    limit, needed = raise_descriptor_limit(), max(job.connections for job in jobs) + 100
    if limit < needed:
        raise click.ClickException(
            f"These jobs need {needed:,} open files, and the limit is {limit:,}: see ulimit -Hn."
        )
    cores = choose_cores()
    if cores[0] == cores[1]:
        console.print("There is only one core: server and load generator share it.", style="yellow")

    runs = list(schedule(jobs, peers, rounds))
    minutes = len(runs) * (1.25 * seconds + 1.5) / 60
    console.print(f"{len(runs)} runs, about {minutes:.0f} minutes." if minutes > 1 else f"{len(runs)} runs.")
    with_tls = any(job.tls for job in jobs)
    with tempfile.TemporaryDirectory() as directory, console.status("") as status:

        def on_start(job: Job, peer: Peer, number: int) -> None:
            status.update(f"{job.name}, round {number + 1}: {peer.name}")

        measure = partial(
            compare,
            cores=cores,
            seconds=seconds,
            certificate=make_certificate(Path(directory)) if with_tls else None,
            on_start=on_start,
        )
        try:
            with compiled_programs(tls=with_tls) as programs:
                measurements = trio.run(partial(measure, runs, programs=programs))
        except LoadError as error:
            raise click.ClickException(str(error)) from error
    return Report(describe_machine(cores), seconds, measurements, summarize(measurements, jobs, peers), left_out)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
