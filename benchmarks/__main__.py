"""The command line: ``python -m benchmarks``."""

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import attrs
import click
import trio
from rich.console import Console

from .chart import draw
from .comparison import Comparison, schedule
from .jobs import DEFAULT_JOBS, JOBS, QUICK_JOBS, Job
from .load import LoadError, compiled_programs
from .page import CHART, DOCS, PAGE, make_page
from .processes import choose_cores, raise_descriptor_limit
from .readme import README, write_table
from .report import Report, Row, describe_machine, print_report, summarize
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
@click.option("--rounds", type=click.IntRange(1, 100), help="How often each peer does each job. Default: 5.")
@click.option("--seconds", type=click.FloatRange(0.1, 60), help="How long one run measures. Default: 1.")
@click.option(
    "--minutes",
    type=click.FloatRange(0.1),
    default=22.0,
    show_default=True,
    help="How long it may take: a job that has used its share has fewer rounds.",
)
@click.option("--quick", is_flag=True, help=f"{', '.join(QUICK_JOBS)} with three peers, one round of half a second.")
@click.option("--also", multiple=True, metavar="NAME=COMMAND", help="A further peer; its command has {port} in it.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all numbers here, after each job.",
)
@click.option(
    "--read",
    "read_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Measure nothing, take the numbers that --json wrote.",
)
@click.option("--write-docs", is_flag=True, help=f"Write {PAGE} and {CHART} in docs/, and the README's table.")
@click.option("--list", "list_only", is_flag=True, help="Say which jobs and peers there are.")
def main(
    job_names: str | None,
    peer_names: str | None,
    rounds: int | None,
    seconds: float | None,
    minutes: float,
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
        peers = [known.get(name, Peer(name, "", ())) for name in in_order(report.summary, known)]
    else:
        jobs = choose("job", job_names or ",".join(QUICK_JOBS if quick else DEFAULT_JOBS), JOBS)
        wanted = choose("peer", peer_names or (",".join((*QUICK_PEERS, *added)) if quick else "all"), known)
        peers, left_out = leave_out(wanted)
        if json_path is not None and not json_path.parent.is_dir():
            raise click.BadParameter(f"there is no directory {json_path.parent}", param_hint="--json")
        plan = Plan(jobs, peers, rounds or (1 if quick else 5), seconds or (0.5 if quick else 1.0), minutes)
        report = run(plan, left_out, json_path)
    console = open_console()
    print_report(console, report.summary, jobs, peers)
    for name, reason in report.left_out.items():
        console.print(f"{name} was left out: {reason}", style="yellow", markup=False, highlight=False)
    if json_path is not None:
        report.write(json_path)
    if write_docs:
        measured = [job for job in jobs if report.rounds(job.name)]  # for the others no time was left
        (DOCS / PAGE).write_text(make_page(report, measured, peers), encoding="utf-8")
        (DOCS / CHART).write_text(draw(report.summary, measured, peers), encoding="utf-8")
        write_table(README, report)
    if not any(row.median for row in report.summary):
        raise click.ClickException("Nothing could be measured.")


def in_order(rows: Sequence[Row], known: Mapping[str, Peer]) -> list[str]:
    """Name the peers of a report: the baseline, then as they are known. Not every job has all, so rows do not tell."""
    names = list(dict.fromkeys(row.peer for row in rows))
    places = {name: place for place, name in enumerate(known)}
    return names[:1] + sorted(names[1:], key=lambda name: places.get(name, len(places)))


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
    return console if console.is_terminal else Console(width=180)


@attrs.frozen
class Plan:
    """What is to be measured."""

    jobs: list[Job]
    peers: list[Peer]
    rounds: int
    seconds: float
    minutes: float


def run(plan: Plan, left_out: dict[str, str], json_path: Path | None) -> Report:
    """Measure, and write what is there after each job."""
    console = open_console()
    jobs, peers = plan.jobs, plan.peers
    limit, needed = raise_descriptor_limit(), max(job.connections for job in jobs) + 100
    if limit < needed:
        raise click.ClickException(
            f"These jobs need {needed:,} open files, and the limit is {limit:,}: see ulimit -Hn."
        )
    cores = choose_cores()
    if cores[0] == cores[1]:
        console.print("There is only one core: server and load generator share it.", style="yellow")

    runs = list(schedule(jobs, peers, plan.rounds))
    console.print(f"{len(runs)} runs at most, in {plan.minutes:g} minutes at most.")
    with_tls = any(job.tls for job in jobs)
    machine, started = describe_machine(cores), time.monotonic()
    with tempfile.TemporaryDirectory() as directory, console.status("") as status:

        def on_start(job: Job, peer: Peer, number: int) -> None:
            status.update(f"{job.name}, round {number + 1}: {peer.name}")

        def make_report() -> Report:
            summary = summarize(comparison.measurements, jobs, peers)
            minutes = (time.monotonic() - started) / 60
            return Report(machine, plan.seconds, comparison.measurements, summary, left_out, minutes)

        def on_job() -> None:
            if json_path is not None:
                make_report().write(json_path)

        try:
            with compiled_programs(tls=with_tls) as programs:
                comparison = Comparison(
                    programs=programs,
                    cores=cores,
                    seconds=plan.seconds,
                    certificate=make_certificate(Path(directory)) if with_tls else None,
                    on_start=on_start,
                    on_job=on_job,
                )
                trio.run(comparison.run, runs, plan.minutes)
        except LoadError as error:
            raise click.ClickException(str(error)) from error
        return make_report()


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
