"""The command line: ``python -m benchmarks.soak --seconds 600``.

A server and processes full of clients, over sockets on 127.0.0.1. First a fifth of the time to warm up, until all that
is made once has been made; then the server is left alone and looked at; then the same again for the whole time, and
the server has to come back to what it was.
"""

import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import IO, Any
from urllib.request import urlopen

import attrs
import click
import msgspec
import trio

from ..servers import PROJECT
from .balance import ALLOWANCES, EXACT, State, compare, is_settled

VISIT_SECONDS = 6.0  # the longest visit of a client, unless the run is short
SETTLE_SECONDS = 60.0  # for the server to come back; it needs the longest of its deadlines, a few seconds
SAMPLE_SECONDS = 5.0


class SoakError(Exception):
    """The server or a crowd ended by itself."""


@attrs.define
class Findings:
    """What a run has shown."""

    before: State = attrs.Factory(dict)
    highest: dict[str, Any] = attrs.Factory(dict)
    after: State = attrs.Factory(dict)
    killed: int = 0
    visits: Counter[str] = attrs.Factory(Counter)
    ends: Counter[str] = attrs.Factory(Counter)
    messages: int = 0
    problems: list[str] = attrs.Factory(list)
    log: str = ""

    def add(self, crowd: dict[str, Any]) -> None:
        """Add what the clients of a crowd say."""
        self.visits.update(crowd["visits"])
        self.ends.update(crowd["ends"])
        self.messages += crowd["messages"]
        self.problems += crowd["problems"]

    def see(self, state: State) -> None:
        """Remember the highest numbers."""
        for name in (*EXACT, *(allowance.name for allowance in ALLOWANCES)):
            self.highest[name] = max(self.highest.get(name, 0), state[name])


@asynccontextmanager
async def open_python(module: str, *arguments: object, errors: IO[bytes] | None = None) -> AsyncIterator[trio.Process]:
    """Run a module of ours in a process, which is killed at the end of the block if it still runs."""
    command = [sys.executable, "-m", f"{__package__}.{module}", *map(str, arguments)]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=PROJECT
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    return b"".join([data async for data in stream])


class Soak:
    """One run.

    Args:
        port: where the server listens.
        clients: how many there are at a time, in all crowds.
        visit_seconds: the longest visit of one.
        findings: what is shown.
    """

    def __init__(self, port: int, clients: int, visit_seconds: float, findings: Findings) -> None:
        self._port = port
        self._clients = clients
        self._visit_seconds = visit_seconds
        self._findings = findings

    async def run(self, seconds: float) -> None:
        """Warm up, look, do it all for so many seconds, and look again."""
        await self._get("/state?exact")  # the first request, too, makes things once
        await self._busy(seconds / 5)
        empty = await self._settled(None)
        self._findings.before = empty
        self._findings.highest.clear()
        await self._busy(seconds)
        self._findings.after = await self._settled(empty)

    async def _busy(self, seconds: float) -> None:
        """Have the server serve crowds, of which half are killed now and then."""
        await self._get("/start")
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                for mortal in (False, True):
                    nursery.start_soon(self._keep_crowd, mortal)
                while True:
                    self._findings.see(msgspec.json.decode(await self._get("/state")))
                    await trio.sleep(min(SAMPLE_SECONDS, seconds / 10))
        await self._get("/stop")

    async def _keep_crowd(self, mortal: bool) -> None:
        arguments = (self._port, self._clients // 2, self._visit_seconds)
        while True:
            async with open_python("crowd", *arguments) as process:
                if mortal:
                    await trio.sleep(random.uniform(0.7, 2) * self._visit_seconds)
                    process.send_signal(signal.SIGKILL)
                    self._findings.killed += 1
                else:
                    await self._hear_out(process)

    async def _hear_out(self, process: trio.Process) -> None:
        try:
            await process.wait()
            raise SoakError(f"a crowd of clients ended by itself, with exit code {process.returncode}")
        except trio.Cancelled:
            with trio.CancelScope(shield=True), trio.move_on_after(SETTLE_SECONDS):
                assert process.stdin is not None
                assert process.stdout is not None
                await process.stdin.aclose()
                self._findings.add(msgspec.json.decode(await read_all(process.stdout)))
            raise

    async def _settled(self, wanted: State | None) -> State:
        """Wait until the server is as it was, or, the first time, until it is empty and nothing changes any more."""
        states: list[State] = []
        with trio.move_on_after(SETTLE_SECONDS):
            while True:
                states.append(msgspec.json.decode(await self._get("/state?exact")))
                reference = wanted if wanted is not None or len(states) < 2 else states[-2]
                if reference is not None and is_settled(reference, states[-1]) and not states[-1]["topics"]:
                    break
                await trio.sleep(1)
        return states[-1]

    async def _get(self, path: str) -> bytes:
        def get() -> bytes:
            with urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=SETTLE_SECONDS) as response:
                body: bytes = response.read()
            return body

        return await trio.to_thread.run_sync(get, abandon_on_cancel=True)


async def soak(seconds: float, clients: int) -> Findings:
    """Run the server among its clients, and return what was seen.

    Raises:
        SoakError: The server or a crowd ended by itself.
    """
    findings = Findings()
    with tempfile.TemporaryFile() as errors:
        async with open_python("server", errors=errors) as server, trio.open_nursery() as nursery:

            async def guard() -> None:
                await server.wait()
                errors.seek(0)
                raise SoakError(f"the server ended by itself: {errors.read().decode(errors='replace')[-2000:]}")

            nursery.start_soon(guard)
            assert server.stdout is not None
            port = int(await server.stdout.receive_some())
            await Soak(port, clients, min(VISIT_SECONDS, seconds / 2), findings).run(seconds)
            nursery.cancel_scope.cancel()
        errors.seek(0)
        findings.log = errors.read().decode(errors="replace")
    return findings


def print_findings(findings: Findings, echo: Callable[[str], None]) -> bool:
    """Print what was seen, and return whether all of it is as it must be."""
    before, after = findings.before, findings.after
    counted = [
        f"{after[name] - before[name]:,} {name}" for name in ("accepted", "published", "conflated", "disconnected")
    ]
    echo(f"server: {', '.join(counted)}")
    echo(f"clients that told of it: {findings.visits.total():,} visits, {findings.messages:,} messages received")
    echo(f"client processes killed: {findings.killed}")
    by_name = {
        "behaved": findings.visits,
        "ended": findings.ends,
        "closed by the server with": after["closed"],
        "dropped by": after["dropped_by"],
    }
    for title, numbers in by_name.items():
        echo(f"{title}: " + ", ".join(f"{name} {count:,}" for name, count in sorted(numbers.items())))
    lines = list(compare(before, findings.highest, after))
    echo(f"\n{'':<15}{'before':>12}{'highest':>12}{'after':>12}{'allowed':>12}")
    for line in lines:
        verdict = "" if line.is_back else "   NOT BACK"
        echo(f"{line.name:<15}{line.before:>12}{line.highest:>12}{line.after:>12}{line.allowed:>12}{verdict}")
    echo("")
    for allowance in ALLOWANCES:
        echo(f"{allowance.name}: {allowance.reason}.")
    for problem in findings.problems[:20]:
        echo(f"a client says: {problem}")
    if findings.log:
        echo(f"the server says:\n{findings.log[-4000:]}")
    return all(line.is_back for line in lines) and not findings.problems and "Traceback" not in findings.log


@click.command(context_settings={"max_content_width": 110})
@click.option("--seconds", type=click.FloatRange(1), default=600.0, show_default=True, help="How long it lasts.")
@click.option("--clients", type=click.IntRange(2), default=200, show_default=True, help="How many there are at a time.")
def main(seconds: float, clients: int) -> None:
    """Serve clients that come, stall, resume and vanish, and see whether anything of them stays."""
    if sys.platform != "linux":
        raise click.ClickException("The soak reads /proc, so it needs Linux.")
    run: Callable[[], Awaitable[Findings]] = partial(soak, seconds, clients)
    try:
        findings = trio.run(run)
    except* SoakError as group:
        raise click.ClickException("; ".join(str(error) for error in group.exceptions)) from None
    if not print_findings(findings, click.echo):
        raise click.ClickException("Something stays behind or went wrong: see above.")
    click.echo("\nEverything is back.")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.soak")
