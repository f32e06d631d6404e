"""Compiles the programs in C, and drives one run of the load generator against one server."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import attrs
import msgspec
import trio

from .jobs import Job, Mode
from .processes import cpu_seconds, memory_bytes, open_pinned, peak_memory_bytes

SOURCES = Path(__file__).parent

# Opening the connections, the first message, the frozen clients and the drain have deadlines of their own in load.c:
# 60, 10, 60 and 2 s.
PREPARATION_SECONDS = 140


class LoadError(Exception):
    """A run that gives no result, with a sentence that says why."""


@attrs.frozen
class Sample:
    """What one run found out."""

    rate: float | None = None
    """Messages received, or clients served, per second."""

    p50_us: float | None = None
    p99_us: float | None = None
    cpu_us: float | None = None
    """Processor time of the server per message or client, in microseconds."""

    server_busy: float | None = None
    """The part of the time in which the server had its core."""

    generator_busy: float | None = None
    """The same for the load generator. Near 1 it may be what limits the rate."""

    connection_bytes: float | None = None
    """Resident memory of the server per idle connection."""

    growth_bytes: float | None = None
    """By how much the server's memory grew, at most, from the moment when all were connected."""

    stalled_after: float | None = None
    """With frozen clients: so many messages the others got before they got nothing for five seconds. The rate is 0."""

    missing: int = 0
    """Messages that had not come back two seconds after the end."""


def find_compiler() -> str | None:
    """Return the C compiler to use, if there is one."""
    candidates = (os.environ.get("CC"), "cc", "gcc", "clang")
    return next((path for name in candidates if name and (path := shutil.which(name))), None)


@attrs.frozen
class Programs:
    """What was compiled."""

    load: Path
    floor: Path
    load_tls: Path | None = None
    """The load generator over TLS, if a job needs it and OpenSSL's headers are there."""

    def for_job(self, job: Job) -> Path:
        """Return the load generator for a job.

        Raises:
            LoadError: It needs TLS, and that could not be compiled.
        """
        if not job.tls:
            return self.load
        if self.load_tls is None:
            raise LoadError("TLS needs the headers of OpenSSL (libssl-dev), to compile the load generator with")
        return self.load_tls


@contextmanager
def compiled_programs(*, tls: bool = False) -> Iterator[Programs]:
    """Compile the load generator and the floor into a directory that is there for as long as the block.

    Raises:
        LoadError: There is no C compiler, or it is not satisfied.
    """
    with tempfile.TemporaryDirectory() as directory:
        load = _compile(Path(directory, "load"), "load.c")
        floor = _compile(Path(directory, "floor"), "floor.c")
        load_tls = None
        if tls:
            try:
                load_tls = _compile(Path(directory, "load-tls"), "load.c", "-DTLS", "-lssl", "-lcrypto")
            except LoadError:
                load_tls = None  # its job says so
        yield Programs(load, floor, load_tls)


def _compile(program: Path, source: str, *options: str) -> Path:
    compiler = find_compiler()
    if compiler is None:
        raise LoadError("The load generator is written in C: install a C compiler (cc, gcc or clang), or set CC.")
    command = [compiler, "-O2", "-o", str(program), str(SOURCES / source), *options]
    compiled = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if compiled.returncode:
        raise LoadError(f"{compiler} cannot compile {source}:\n{compiled.stderr.strip()}")
    return program


class StalledError(Exception):
    """The server stands still, since some of its clients do."""

    def __init__(self, messages: int) -> None:
        super().__init__(messages)
        self.messages = messages
        """What each of the others had got until then."""


class Generator:
    """One run of the load generator: its lines of JSON, read phase by phase."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._buffer = b""

    async def phase(self, name: str) -> dict[str, Any]:
        """Wait for the line of a phase and return it, passing over the lines before it.

        Raises:
            StalledError: The load generator says so in its place.
            LoadError: Likewise, or it has ended.
        """
        while True:
            event: dict[str, Any] = msgspec.json.decode(await self._line())
            if event["phase"] == "stalled":
                raise StalledError(event["messages"])
            if event["phase"] == "error":
                raise LoadError(event["message"])
            if event["phase"] == name:
                return event

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._buffer:
            data = await self._process.stdout.receive_some()
            if not data:
                raise LoadError(f"the load generator ended with exit code {await self._process.wait()}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


async def run_load(program: Path, core: int, job: Job, *, pid: int, port: int, seconds: float) -> Sample:
    """Put a server under load and return what was measured.

    Args:
        program: The compiled load generator.
        core: Where it runs.
        job: What it does.
        pid: The server's process, whose processor time and memory are watched.
        port: Where the server listens.
        seconds: How long to measure, after a warm-up of a quarter of it.

    Raises:
        LoadError: The server refused, closed, answered with wrong bytes, or nothing happened in time.
    """
    numbers = (port, job.path, job.connections, job.size, job.depth, seconds, seconds / 4, job.frozen)
    command = [str(program), job.mode.value, *map(str, numbers)]
    budget = PREPARATION_SECONDS + 2 * seconds
    memory_before = memory_bytes(pid)
    with trio.move_on_after(budget):
        async with open_pinned(command, core, stdin=PIPE, stdout=PIPE) as process:
            generator = Generator(process)
            if job.mode is Mode.IDLE:
                await generator.phase("connected")
                memory = memory_bytes(pid) - memory_before
                return Sample(connection_bytes=memory / job.connections)
            if job.mode is not Mode.CONNECT:
                await generator.phase("connected")
                memory_before = memory_bytes(pid)
            try:
                await generator.phase("measuring")
                cpu_before = cpu_seconds(pid)
                await generator.phase("measured")
                cpu = cpu_seconds(pid) - cpu_before
            except StalledError as stall:
                grown = peak_memory_bytes(pid) - memory_before
                return Sample(rate=0.0, stalled_after=stall.messages, growth_bytes=grown)
            grown = peak_memory_bytes(pid) - memory_before
            return attrs.evolve(_sample(await generator.phase("result"), cpu), growth_bytes=grown)
    raise LoadError(f"nothing came of it within {budget:.0f} seconds")


def _sample(result: dict[str, Any], cpu: float) -> Sample:
    count, elapsed = result["count"], result["seconds"]
    if not count:
        raise LoadError("not a single message came back while it was measured")
    return Sample(
        rate=count / elapsed,
        p50_us=result["p50_us"],
        p99_us=result["p99_us"],
        cpu_us=cpu / count * 1e6,
        server_busy=cpu / elapsed,
        generator_busy=result["cpu_seconds"] / elapsed,
        missing=result["missing"],
    )
