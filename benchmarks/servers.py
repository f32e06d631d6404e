"""The servers that are compared: which there are, and how one is started and ended."""

import ast
import os
import pkgutil
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import IO

import attrs
import trio

from . import peers
from .load import LoadError
from .processes import open_pinned

PROJECT = Path(__file__).parent.parent
START_SECONDS = 20
OURS = "wsframework"


@attrs.frozen
class Peer:
    """A server that can be measured."""

    name: str
    description: str
    command: tuple[str, ...]
    """How it is started; ``{port}`` stands for the port on which it must listen."""

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


def find_peers() -> dict[str, Peer]:
    """Return every module of the package ``benchmarks.peers``, ours first.

    None of them is imported: each needs packages of its own, and whether they are there shows when it is started.
    """
    found = {}
    for module in pkgutil.iter_modules(peers.__path__):
        if module.name.startswith("_"):
            continue
        source = Path(peers.__path__[0], f"{module.name}.py").read_text(encoding="utf-8")
        description = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        name = module.name.replace("_", "-")
        found[name] = Peer(name, description, (sys.executable, "-m", f"{peers.__name__}.{module.name}", "{port}"))
    return dict(sorted(found.items(), key=lambda item: (item[0] != OURS, item[0])))


@asynccontextmanager
async def open_server(peer: Peer, core: int) -> AsyncIterator[tuple[int, int]]:
    """Start a peer on one core and wait until it listens; yield its process id and its port.

    Raises:
        LoadError: It is not there, ended at once or did not listen in time; the message has its last words.
    """
    if shutil.which(peer.command[0]) is None:
        raise LoadError(f"{peer.name} cannot be started: there is no program {peer.command[0]}")
    port = _free_port()
    command = [part.replace("{port}", str(port)) for part in peer.command]
    path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryFile() as errors:
        options = {"stdin": DEVNULL, "stdout": errors, "stderr": errors, "env": {**os.environ, "PYTHONPATH": path}}
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
