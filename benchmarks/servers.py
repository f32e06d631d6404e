"""The servers that are compared: which there are, which can run here, and how one is started and ended."""

import ast
import os
import pkgutil
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import IO

import attrs
import trio

from . import peers
from .jobs import JOBS, Mode
from .load import LoadError
from .processes import open_pinned

PROJECT = Path(__file__).parent.parent
START_SECONDS = 20
OURS = "wsframework"
FLOOR = "floor"
WITH_HISTORY = "wsframework-history"
WITH_PRESENCE = "wsframework-presence"

# What the hub's options cost shows beside the same jobs without them; Litestar is here for its channels.
ONLY: Mapping[str, frozenset[str]] = {
    WITH_HISTORY: frozenset({"fan-1000", "fan-1000x16"}),
    WITH_PRESENCE: frozenset({"fan-1000", "fan-1000x16"}),
    "litestar": frozenset({"fan-1000", "fan-4k", "fan-4k-frozen"}),
}


@attrs.frozen
class Peer:
    """A server that can be measured."""

    name: str
    description: str
    command: tuple[str, ...]
    """How it is started; ``{port}`` stands for the port on which it must listen."""

    module: str | None = None
    """The Python module that it is, if it is one."""

    skips: frozenset[str] = frozenset()
    """The jobs that it is not made for."""

    only: frozenset[str] | None = None
    """The jobs that it is here for, if not for all."""

    def does(self, job: str) -> bool:
        """Whether it takes part in a job."""
        return job not in self.skips and (self.only is None or job in self.only)

    @classmethod
    def from_option(cls, text: str) -> "Peer":
        """Make a peer of ``name=command {port}``, as it is written on the command line.

        Raises:
            ValueError: The text has another form.
        """
        name, equals, command = text.partition("=")
        if not (name and equals and "{port}" in command):
            raise ValueError(f"{text!r} must look like: name='python server.py {{port}}'")
        return cls(name, command, tuple(shlex.split(command)))

    def why_not(self) -> str | None:
        """Return the reason if it cannot run here, which is that something is not installed; else None."""
        if self.module is None:
            return None
        command = [sys.executable, "-c", f"import {self.module}"]
        tried = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)
        if tried.returncode == 0:
            return None
        lines = tried.stderr.strip().splitlines()
        return lines[-1] if lines else f"importing it ended with exit code {tried.returncode}"


def find_peers() -> dict[str, Peer]:
    """Return every module of the package ``benchmarks.peers``, ours first, and the floor last.

    None of them is imported here: each needs packages of its own, and `Peer.why_not` says which are not there.
    """
    found = {}
    for module in pkgutil.iter_modules(peers.__path__):
        if module.name.startswith("_"):
            continue
        source = Path(peers.__path__[0], f"{module.name}.py").read_text(encoding="utf-8")
        description = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        name = module.name.replace("_", "-")
        full_name = f"{peers.__name__}.{module.name}"
        command = (sys.executable, "-m", full_name, "{port}")
        found[name] = Peer(name, description, command, full_name, only=ONLY.get(name))
    found = dict(sorted(found.items(), key=lambda item: (not item[0].startswith(OURS), item[0])))
    skips = frozenset({name for name, job in JOBS.items() if job.tls or job.frozen or job.mode is Mode.IDLE})
    found[FLOOR] = Peer(
        FLOOR, "The least that a server in C does (floor.c), for scale.", ("{floor}", "{port}"), None, skips
    )
    return found


def make_certificate(directory: Path) -> dict[str, str] | None:
    """Write a certificate and its key into a directory; return the variables that tell a peer where, see `_tls.py`.

    None where trustme is not installed.
    """
    try:
        import trustme
    except ImportError:
        return None
    certificate = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("localhost", "127.0.0.1")
    files = {"SSL_CERTFILE": directory / "certificate.pem", "SSL_KEYFILE": directory / "key.pem"}
    certificate.private_key_pem.write_to_path(str(files["SSL_KEYFILE"]))
    for part in certificate.cert_chain_pems:
        part.write_to_path(str(files["SSL_CERTFILE"]), append=True)
    return {name: str(path) for name, path in files.items()}


@asynccontextmanager
async def open_server(
    peer: Peer, core: int, *, floor: Path | None = None, variables: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[int, int]]:
    """Start a peer on one core and wait until it listens; yield its process id and its port.

    Args:
        peer: Which one.
        core: Where it runs.
        floor: The compiled floor, for ``{floor}`` in its command.
        variables: What its environment has besides ours.

    Raises:
        LoadError: It is not there, ended at once or did not listen in time; the message has its last words.
    """
    port = _free_port()
    command = [part.replace("{port}", str(port)).replace("{floor}", str(floor)) for part in peer.command]
    if shutil.which(command[0]) is None:
        raise LoadError(f"{peer.name} cannot be started: there is no program {command[0]}")
    path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    # Not what makes coverage.py follow a test into its subprocesses: a server that is traced is another server.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    environment = {**inherited, "PYTHONPATH": path, **(variables or {})}
    with tempfile.TemporaryFile() as errors:
        options = {"stdin": DEVNULL, "stdout": errors, "stderr": errors, "env": environment}
        async with open_pinned(command, core, **options) as process:
            await _wait_listening(peer, process, port, errors)
            yield process.pid, port


async def _wait_listening(peer: Peer, process: trio.Process, port: int, errors: IO[bytes]) -> None:
    with trio.move_on_after(START_SECONDS):
        while process.returncode is None:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                await trio.sleep(0.05)
            else:
                await stream.aclose()
                return
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    how = "did not listen in time" if process.returncode is None else f"ended with exit code {process.returncode}"
    raise LoadError(f"{peer.name} {how}: {lines[-1] if lines else 'it said nothing'}")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
