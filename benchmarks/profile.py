"""Where a server's processor time goes, for one job: ``python -m benchmarks.profile echo-100``.

It needs ``perf`` (Debian: ``linux-perf``), whose samples say what the server's core was doing 4,000 times a second.
"""

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path

import attrs
import click
import trio

from .__main__ import choose
from .jobs import JOBS, Job, Mode
from .load import LoadError, Programs, Sample, compiled_programs, run_load
from .processes import choose_cores, raise_descriptor_limit
from .servers import OURS, Peer, find_peers, open_server

PER_SECOND = 4000

# System calls, by what stands in the names of the kernel's functions; what calls what is known inside of it.
CALLS = {
    "sys_send": "system: send",
    "sys_write": "system: send",
    "sys_recv": "system: receive",
    "epoll": "system: epoll",
}
SYSTEM = "system: the rest"
PYTHON = "Python: interpreter and objects"
LIBC = "C library: malloc, locks, copying"
OTHER = "other compiled code"
PARTS = tuple(dict.fromkeys((*CALLS.values(), SYSTEM, PYTHON, LIBC, OTHER)))


@attrs.frozen
class Frame:
    """A function, and the file that it is in."""

    function: str
    file: str


def read_samples(lines: Iterable[str]) -> Iterator[list[Frame]]:
    """Read what ``perf script -F ip,sym,dso`` prints: the frames of a sample, innermost first, then an empty line."""
    sample: list[Frame] = []
    for line in lines:
        if line.strip():
            _, _, rest = line.strip().partition(" ")
            function, _, file = rest.rpartition(" (")
            sample.append(Frame(function, file.rstrip(")")))
        elif sample:
            yield sample
            sample = []
    if sample:
        yield sample


def part_of(sample: Sequence[Frame]) -> str:
    """Say which part of `PARTS` the time of a sample belongs to."""
    innermost = sample[0]
    if "kernel" in innermost.file or innermost.file.startswith("["):
        for frame in sample:
            for mark, part in CALLS.items():
                if mark in frame.function:
                    return part
        return SYSTEM
    name = Path(innermost.file).name
    if name.startswith(("libpython", "python")):
        return PYTHON
    return LIBC if name.startswith(("libc.", "libc-", "libpthread", "ld-")) else OTHER


def can_profile(job: Job) -> bool:
    """Say whether it is one message after another, in the clear, to clients that take them."""
    return job.mode in (Mode.ECHO, Mode.FAN) and not job.tls and not job.frozen


async def profile(programs: Programs, cores: tuple[int, int], job: Job, peer: Peer, seconds: float) -> list[str]:
    """Run one job with one peer and return the lines of its table.

    Raises:
        LoadError: The server or the load generator failed, or perf is not allowed to look.
    """
    server_core, load_core = cores
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile("w+") as complaints:
        data = str(Path(directory, "perf.data"))
        async with open_server(peer, server_core, floor=programs.floor) as (pid, port):
            record = f"perf record -q -g -F {PER_SECOND} -e cpu-clock -p {pid} -o".split()
            perf = await trio.lowlevel.open_process(
                [*record, data, "--", "sleep", str(2 * seconds)], stderr=complaints, stdout=subprocess.DEVNULL
            )
            try:
                sample = await run_load(programs.load, load_core, job, pid=pid, port=port, seconds=seconds)
            finally:
                perf.terminate()
                with trio.CancelScope(shield=True):
                    await perf.wait()
        script = ["perf", "script", "-F", "ip,sym,dso", "-i", data]
        printed = await trio.run_process(script, capture_stdout=True, capture_stderr=True, check=False)
        complaints.seek(0)
        said = complaints.read().strip() or printed.stderr.decode(errors="replace").strip()
    if printed.returncode:
        raise LoadError(f"perf has recorded nothing: {said or 'it does not say why'}")
    parts = Counter(part_of(frames) for frames in read_samples(printed.stdout.decode(errors="replace").splitlines()))
    if not parts:
        raise LoadError("perf has seen nothing of the server: measure longer, with --seconds")
    return table(f"{job.name}, {peer.name}", parts, sample)


def table(title: str, parts: Counter[str], sample: Sample) -> list[str]:
    """Return lines with shares, and what they are of the processor time of one message."""
    assert sample.cpu_us is not None
    assert sample.rate is not None
    whole = sum(parts.values())
    lines = [f"{title}: {sample.cpu_us:.1f} µs of processor time for a message, {sample.rate:,.0f} of them a second"]
    for part in PARTS:
        share = parts[part] / whole
        lines.append(f"  {part:<34}{share:>6.1%}{share * sample.cpu_us:>8.2f} µs")
    return lines


@click.command(context_settings={"max_content_width": 110})
@click.argument("job_names", metavar="JOBS", default="echo-100")
@click.option("--peers", "peer_names", default=OURS, show_default=True, help="Comma-separated.")
@click.option("--seconds", type=click.FloatRange(0.1, 60), default=3.0, show_default=True, help="How long to measure.")
def main(job_names: str, peer_names: str, seconds: float) -> None:
    """Say where the processor time of servers goes.

    JOBS are names of those that `python -m benchmarks --list` shows, comma-separated.
    """
    if shutil.which("perf") is None:
        raise click.ClickException("there is no perf; on Debian, install linux-perf")
    jobs = choose("job", job_names, {name: job for name, job in JOBS.items() if can_profile(job)})
    peers = choose("peer", peer_names, find_peers())
    raise_descriptor_limit()
    try:
        with compiled_programs() as programs:
            for job, peer in product(jobs, peers):
                click.echo("\n".join(trio.run(profile, programs, choose_cores(), job, peer, seconds)))
    except* LoadError as failures:
        raise click.ClickException(str(failures.exceptions[0])) from None


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.profile")
