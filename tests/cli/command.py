"""``python -m wsframework`` in a process of its own, as a person would start it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

PATIENCE = 15.0  # seconds until a process is given up


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

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        with self._guarded():
            self.line = process.stdout.readline()
        found = re.search(r"(https?://|unix:)[^\s,]+", self.line)
        if found is None:
            raise AssertionError(f"it did not say its URL, but {self.line!r}; {self._end()}")
        self.url = found[0]

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    def stop(self, number: int) -> Result:
        """Send a signal and wait for the end."""
        self._process.send_signal(number)
        return self._end()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._end()

    def _end(self) -> Result:
        with self._guarded():
            out, err = self._process.communicate()
        return Result(self._process.returncode, out, err)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        watchdog = threading.Timer(PATIENCE, self._process.kill)
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()


@contextmanager
def serve(*arguments: str, folder: Path | None = None) -> Iterator[Served]:
    """Have ``wsframework run`` with these arguments serve inside the block, on a free port if they name none."""
    bind = () if any(argument.startswith(("--bind", "-b")) for argument in arguments) else ("--bind", "127.0.0.1:0")
    process = subprocess.Popen(
        [sys.executable, "-m", "wsframework", "run", *arguments, *bind],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    served = Served(process)
    try:
        yield served
    finally:
        served.kill()


def _environment() -> dict[str, str]:
    # The package may be used from the source tree, which is not the folder that the command runs in.
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error"}
