"""What every attack has in common: a server in its own process, raw clients, and what must hold whatever they do.

The process lives. A bystander's echo is answered within 250 ms. Memory grows by less than 8 MiB. Nothing above INFO is
logged, and no traceback. Exactly one counter moves for each connection, the one that the attack names. And when the
clients are gone, so are their sockets and their tasks.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from tests.server.builders import client_close, client_text, upgrade

PATIENCE = 30.0  # seconds until a server that does not answer is given up
KIB = 1024
MIB = 1024 * KIB

_ANSWER = 0.25  # seconds that a bystander waits at most
_ANSWER_MEASURED = 1.0  # and of a server whose coverage is measured, which is several times as slow
_INFO = 20
_ROOT = Path(__file__).parents[2]


class Client:
    """A client that sends what it likes."""

    def __init__(self, address: tuple[str, int], *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(address)
        self._read = b""

    def send(self, *data: bytes) -> None:
        """Send all of it; that the server has let go meanwhile is no failure of a client."""
        with suppress(ConnectionError):
            self.socket.sendall(b"".join(data))

    def dribble(self, data: bytes, size: int = 1) -> None:
        """Send it in small segments."""
        with suppress(ConnectionError):
            for at in range(0, len(data), size):
                self.socket.sendall(data[at : at + size])

    def upgrade(self, path: str = "/echo", *fields: bytes, **others: bytes | None) -> Client:
        """Ask for a WebSocket, and get it."""
        self.send(upgrade(*fields, target=path.encode(), **others))
        status, _, _ = self.response()
        assert status == 101, f"the upgrade was answered with {status}"
        return self

    def response(self) -> tuple[int, dict[str, str], bytes]:
        """The status, the fields and the body of one response."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        return int(head[0].split()[1]), fields, self._take(int(fields.get("content-length", 0)))

    def frame(self, reserved: int = 0) -> tuple[int, bytes]:
        """The opcode and the payload of the next frame, which must be whole, unmasked, and have these reserved bits."""
        first, second = self._take(2)
        assert first & 0xF0 == 0x80 | reserved << 4, f"a frame begins with {first:#x}"
        size = {126: 2, 127: 8}.get(second, 0)
        return first & 0x0F, self._take(int.from_bytes(self._take(size), "big") if size else second)

    def close_code(self) -> int:
        """The code of the close frame, which must be the next."""
        opcode, payload = self.frame()
        assert opcode == 8, f"opcode {opcode} with {payload[:50]!r} where a close frame was due"
        return int.from_bytes(payload[:2], "big") if payload else 1005

    def echo(self, text: str = "hello") -> None:
        """Have something echoed."""
        self.send(client_text(text))
        assert self.frame() == (1, text.encode())

    def close(self) -> None:
        """Close in style."""
        self.send(client_close(1000))
        assert self.close_code() == 1000
        self.ends()

    def rest(self) -> bytes:
        """Everything up to the end, which may be a reset."""
        with suppress(ConnectionError):
            while more := self.socket.recv(64 * KIB):
                self._read += more
        return self._take(len(self._read))

    def ends(self) -> None:
        """Nothing more comes, and the server ends the connection."""
        rest = self.rest()
        assert rest == b"", f"{len(rest)} bytes more: {rest[:100]!r}"

    def leave(self) -> None:
        """End the connection in style."""
        self.socket.close()

    def reset(self) -> None:
        """Be gone at once, with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _until(self, mark: bytes) -> bytes:
        while (at := self._read.find(mark)) < 0:
            self._receive()
        return self._take(at + len(mark))

    def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            self._receive()
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def _receive(self) -> None:
        more = self.socket.recv(64 * KIB)
        assert more, f"the connection has ended behind {self._read[:100]!r}"
        self._read += more


@attrs.define
class Report:
    """What the server says of the time since the last report, or since its start for what it counts."""

    open: int
    accepted: int
    http: int
    lost: int
    refused: dict[str, int]
    closed: dict[str, int]
    cpu: float
    memory: int
    peak: int
    tasks: int
    files: int
    log: list[dict[str, Any]]
    notes: list[str]

    @property
    def outcomes(self) -> Counter[str]:
        """How often which counter has moved."""
        counted = Counter({"http": self.http, "lost": self.lost})
        counted.update({f"refused {status}": count for status, count in self.refused.items()})
        counted.update({f"closed {code}": count for code, count in self.closed.items()})
        return counted


class AttackedServer:
    """A server in a process of its own.

    Attributes:
        spoiled: an attack on it failed, so it is not good for another.
    """

    def __init__(self, limits: Mapping[str, Any], static: Path) -> None:
        self.spoiled = False
        options = json.dumps({"limits": limits, "static": str(static)})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bad_input.server", options],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        url = self._read()
        self.address = ("127.0.0.1", int(url.rpartition(":")[2]))
        with Bystander(self):  # the first connection is the dearest: not one that an attack pays for
            pass
        with suppress(ConnectionError):
            client = Client(self.address)
            client.send(b"GET /path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.response()[0] == 200
            client.leave()

    def report(self, *, release: bool = False) -> Report:
        """What it says of itself; with ``release`` the endpoints that wait for a word get it."""
        assert self._process.stdin is not None
        self._process.stdin.write("release\n" if release else "\n")
        self._process.stdin.flush()
        return Report(**json.loads(self._read()))

    def busy(self) -> float:
        """Seconds of CPU time that its main thread has used.

        The system brings it up to date when the thread sleeps and at its own ticks, so a difference may be some
        milliseconds off, and two that are small have no ratio. Bounds are therefore in seconds, and more than ten
        times what was measured.
        """
        try:
            return int(Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[0]) / 1e9
        except OSError:
            return time.monotonic()

    def stop(self) -> None:
        """End it: in style, so that what it measured of itself is written down, unless it is spoiled."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        if self.spoiled:
            self._process.kill()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the server has ended with {self._process.wait(PATIENCE)}"
        return line


class Bystander:
    """A client that wants nothing but its echoes, and measures how long they take.

    On a machine that is busy with other things an echo takes long although the server is quick, so only that part of
    the time counts in which the server was at work on something: that is what an attacker can make longer.
    """

    def __init__(self, server: AttackedServer) -> None:
        self._server = server
        self._client = Client(server.address).upgrade()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: Exception | None = None
        self.worst = 0.0

    def __enter__(self) -> Bystander:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._over.set()
        self._thread.join(2 * PATIENCE)
        if self._error is None:
            self._client.send(client_close(1000))
            self._client.rest()
        self._client.leave()
        if self._error is not None:
            raise AssertionError("the bystander got no echo") from self._error

    def _run(self) -> None:
        try:
            while True:
                over = self._over.wait(0.01)
                begin, busy = time.monotonic(), self._server.busy()
                self._client.echo()
                self.worst = max(self.worst, min(time.monotonic() - begin, self._server.busy() - busy))
                if over:
                    return
        except Exception as error:
            self._error = error


class Attack:
    """One attack on one server: its clients, and what the server said of it when it was over."""

    def __init__(self, server: AttackedServer) -> None:
        self.server = server
        self.clients: list[Client] = []
        end = time.monotonic() + PATIENCE
        while (before := server.report()).open > 1:  # an earlier bystander is still being counted
            assert time.monotonic() < end, f"an earlier attack has left something behind: {before}"
            time.sleep(0.001)
        self.before = self.after = before
        self._log: list[dict[str, Any]] = []
        self._notes: list[str] = []
        self._peak = 0

    def connect(self, *, receive_buffer: int | None = None) -> Client:
        client = Client(self.server.address, receive_buffer=receive_buffer)
        self.clients.append(client)
        return client

    def report(self, *, release: bool = False) -> Report:
        """What the server says now. What it has logged is kept for the end, whoever asks for it before."""
        report = self.server.report(release=release)
        self._log += report.log
        self._notes += report.notes
        self._peak = max(self._peak, report.peak)
        return report

    def wait_until(self, condition: Callable[[Report], bool]) -> None:
        """Wait for something that the server counts or notes."""
        end = time.monotonic() + PATIENCE
        while not condition(report := self.report()):
            assert time.monotonic() < end, f"waited in vain: {report}"
            time.sleep(0.001)

    def wait_until_over(self) -> None:
        """Wait until the server has nothing left of the clients: counters come when a socket is let go."""
        end = time.monotonic() + PATIENCE
        while True:
            self.after = self.report()
            came = self.after.accepted - self.before.accepted
            if came >= len(self.clients) and self.after.open <= self.before.open:
                if self.after.tasks <= self.before.tasks:
                    break
            assert time.monotonic() < end, f"left behind: {self.after}"
            time.sleep(0.01)
        self.after.log, self.after.notes, self.after.peak = self._log, self._notes, self._peak

    @property
    def cpu(self) -> float:
        """Seconds of CPU time that the server has used for all of it, the bystander's echoes included."""
        return self.after.cpu - self.before.cpu


@attrs.frozen
class Case:
    """An attack with its row, and what is special about it.

    Attributes:
        row: its number in the table, and what it does.
        run: attacks.
        outcomes: how often which counter moves: ``{"closed 1002": 1}``.
        memory: bytes by which the server may grow.
        limits: of the server that it needs.
        may_log: a traceback belongs there: the application failed.
        verify: looks at what the server said of it, when all is over.
    """

    row: str
    run: Callable[[Attack], None]
    outcomes: Mapping[str, int]
    memory: int = 8 * MIB
    limits: Mapping[str, Any] = {}
    may_log: bool = False
    verify: Callable[[Attack], None] = lambda attack: None

    def __str__(self) -> str:
        return self.row.replace(" ", "-")


Cases = list[Case]


def in_rows(cases: Cases, *rows: str, outcome: str = "", **options: Any) -> Callable[..., Callable[[Attack], None]]:
    """Register the function below as the attack of these rows. ``outcome`` is the one counter that moves, once."""

    def register(run: Callable[[Attack], None]) -> Callable[[Attack], None]:
        outcomes = options.pop("outcomes", {outcome: 1})
        cases.extend(Case(row, run, outcomes, **options) for row in rows)
        return run

    return register


@contextmanager
def attacking(server: AttackedServer, case: Case) -> Iterator[Attack]:
    """Attack in the block; behind it, see that everything holds that must."""
    server.spoiled = True
    with Bystander(server) as bystander:
        attack = Attack(server)
        try:
            yield attack
        finally:
            for client in attack.clients:
                client.leave()
        attack.wait_until_over()
    check(attack, case, bystander)
    server.spoiled = False


def is_measured() -> bool:
    """Coverage is being measured: of the server too, since it is a process of ours."""
    coverage = sys.modules.get("coverage")
    return coverage is not None and coverage.Coverage.current() is not None


def check(attack: Attack, case: Case, bystander: Bystander) -> None:
    """What must hold behind every attack."""
    before, after = attack.before, attack.after
    moved = after.outcomes - before.outcomes
    assert moved == Counter(case.outcomes)
    assert after.accepted - before.accepted == moved.total(), "each connection has one outcome"
    loud = [line for line in after.log if line["level"] > _INFO or line["error"]]
    if not case.may_log:
        assert not loud, loud
    grown = after.peak - before.memory
    assert grown < case.memory, f"grew by {grown / MIB:.1f} MiB"
    assert after.files <= before.files, "descriptors are left behind"
    patience = _ANSWER_MEASURED if is_measured() else _ANSWER
    assert bystander.worst < patience, f"a bystander waited for {bystander.worst * 1000:.0f} ms"
    case.verify(attack)
