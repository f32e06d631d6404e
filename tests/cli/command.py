"""``python -m wsframework`` in a process of its own, as a person would start it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import attrs

PATIENCE = 60.0  # seconds until a process is given up


@attrs.frozen
class Result:
    """What a command that has ended left behind."""

    code: int
    out: str
    err: str


def run(*arguments: str, folder: Path | None = None) -> Result:
    """Run a command that ends by itself."""
    done = subprocess.run(
        [sys.executable, "-m", "wsframework", *arguments],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return Result(done.returncode, done.stdout, done.stderr)


class Served:
    """``wsframework run`` that serves. Leave the block of `serve` or call `stop` to end it."""

    def __init__(self, process: subprocess.Popen[str], announced_on_stderr: bool = False) -> None:
        self._process = process
        stream = process.stderr if announced_on_stderr else process.stdout
        assert stream is not None
        with self._guarded():
            self.line = stream.readline()
        found = re.search(r"(https?://|unix:)[^\s,]+", self.line)
        if found is None:
            raise AssertionError(f"it did not say its URL, but {self.line!r}; {self._end()}")
        self.url = found[0]

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def next_line(self) -> str:
        """Wait for the next line that it says on standard output; what it says later is in the `Result`."""
        assert self._process.stdout is not None
        with self._guarded():
            return self._process.stdout.readline()

    def close_output(self) -> None:
        """Stop to read what it says on standard output."""
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait(self) -> Result:
        """Wait for the end."""
        return self._end()

    def stop(self, number: int) -> Result:
        """Send a signal and wait for the end."""
        self._process.send_signal(number)
        return self._end()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        if self._process.stdout is not None and not self._process.stdout.closed:
            self._end()

    def _end(self) -> Result:
        with self._guarded():
            out, err = self._process.communicate()
        return Result(self._process.returncode, out, err or "")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        watchdog = threading.Timer(PATIENCE, self._process.kill)
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()


@contextmanager
def serve(
    *arguments: str, folder: Path | None = None, announced_on_stderr: bool = False, errors: Path | None = None
) -> Iterator[Served]:
    """Have ``wsframework run`` with these arguments serve inside the block, on a free port if they name none.

    With ``errors``, standard error goes to that file, where it can be read while it serves.
    """
    defaults = []
    if not any(argument.startswith(("--bind", "-b", "--port")) for argument in arguments):
        defaults += ["--port", "0"]
    if "--watchdog" not in arguments:
        defaults += ["--watchdog", str(PATIENCE)]  # that this machine is busy is no news
    with nullcontext(subprocess.PIPE) if errors is None else errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "wsframework", "run", *arguments, *defaults],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,  # at a terminal SIGHUP would mean something else
            stdout=subprocess.PIPE,
            stderr=stderr,
            preexec_fn=None if sys.platform == "win32" else _hear_hangups,
            text=True,
        )
    served = Served(process, announced_on_stderr)
    try:
        yield served
    finally:
        served.kill()


def _environment() -> dict[str, str]:
    # The package may be used from the source tree, which is not the folder that the command runs in.
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error"}


def _hear_hangups() -> None:
    """Have SIGHUP mean something again: under nohup(1), the tests would hand down that it is ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
