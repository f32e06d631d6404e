"""Processes on a core of their own, and what Linux tells about them: processor time and memory."""

import os
import resource
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trio

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def open_pinned(command: Sequence[str], core: int, **options: Any) -> AsyncIterator[trio.Process]:
    """Start a process on one core, with the options of ``trio.lowlevel.open_process``.

    At the end of the block it is killed, and whatever it has started with it: nothing here has anything to save.
    """
    process = await trio.lowlevel.open_process(command, **options)
    try:
        with suppress(ProcessLookupError):
            os.sched_setaffinity(process.pid, {core})
        yield process
    finally:
        # The list is complete before the first one dies: an orphan is no longer found by its parent. Until somebody
        # waits for the process its id stays its own, so nobody else can be hit.
        members = list(family(process.pid)) if process.returncode is None else []
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):  # a killed process ends at once
            await process.wait()


def family(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants, parents first."""
    yield pid
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:  # it ended while we looked
        return
    for child in children:
        yield from family(child)


def cpu_seconds(pid: int) -> float:
    """Return the processor time, user and system, that a process and its descendants have used so far."""
    ticks = 0
    for member in family(pid):
        try:
            stat = Path(f"/proc/{member}/stat").read_text()
        except OSError:
            continue
        # proc(5): the second field is the name in parentheses, which may hold anything. Counted from behind it,
        # utime, stime, cutime and cstime are the fields 11 to 14.
        fields = stat.rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS_PER_SECOND


def memory_bytes(pid: int) -> int:
    """Return the resident memory of a process and its descendants; what they share counts once for each."""
    pages = 0
    for member in family(pid):
        try:
            pages += int(Path(f"/proc/{member}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * resource.getpagesize()


def peak_memory_bytes(pid: int) -> int:
    """Return the most resident memory that a process and its descendants ever had, each at its own time."""
    kibibytes = 0
    for member in family(pid):
        try:
            status = Path(f"/proc/{member}/status").read_text()
        except OSError:
            continue
        kibibytes += next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
    return kibibytes * 1024


def choose_cores() -> tuple[int, int]:
    """Return a core for the server and one for the load generator, the same one if there is only one.

    Two threads of one physical core share its speed, so a real neighbour is preferred.
    """
    cores = sorted(os.sched_getaffinity(0))
    server = cores[0]
    try:
        listed = Path(f"/sys/devices/system/cpu/cpu{server}/topology/thread_siblings_list").read_text()
        siblings = {int(part) for part in listed.strip().replace("-", ",").split(",")}
    except (OSError, ValueError):
        siblings = {server}
    real = [core for core in cores if core not in siblings]
    return server, (real or cores)[-1]


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files as far as it goes, for us and what we start; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
