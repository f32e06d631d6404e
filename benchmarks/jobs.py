"""What is measured: the jobs that every peer gets."""

from collections.abc import Mapping
from enum import Enum

import attrs


class Mode(Enum):
    """What the load generator does; the values are its own words."""

    ECHO = "echo"
    FAN = "fan"
    CONNECT = "connect"
    IDLE = "idle"


@attrs.frozen
class Job:
    """One kind of load."""

    name: str
    mode: Mode
    connections: int
    size: int = 32
    depth: int = 1
    """Messages in flight: per connection for echo, in all for fan-out."""

    tls: bool = False
    frozen: int = 0
    """So many of the subscribers stop reading, for good."""

    against: str | None = None
    """The job that shows what the frozen ones do to the others: each peer does it right before this one."""

    rounds: int | None = None
    """How many rounds there are at most: memory comes out the same each time, and jobs without a goal have fewer."""

    by_default: bool = True

    @property
    def family(self) -> str:
        """The same for jobs whose runs alternate, since they are compared with each other."""
        return self.against or self.name

    @property
    def path(self) -> str:
        return "/fan" if self.mode is Mode.FAN else "/echo"

    @property
    def keeps_busy(self) -> bool:
        """Whether there is always work waiting for the server, whatever the client is doing."""
        return self.mode is not Mode.IDLE and self.connections * self.depth >= 32

    @property
    def title(self) -> str:
        size = next(
            f"{self.size // unit} {name}"
            for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
            if self.size >= unit
        )
        match self.mode:
            case Mode.ECHO:
                where = f"{self.connections:,} connection{'s' * (self.connections > 1)}{' with TLS' * self.tls}"
                return f"echo of {size}, {where}" + f", {self.depth} in flight on each" * (self.depth > 1)
            case Mode.FAN:
                some = f", {self.frozen} of them frozen" if self.frozen else ""
                return f"fan-out of {size} to {self.connections:,} subscribers{some}" + (
                    f", {self.depth} in flight" * (self.depth > 1)
                )
            case Mode.CONNECT:
                return f"connect, upgrade and close, {self.connections} at a time"
            case Mode.IDLE:
                return f"memory of {self.connections:,} idle connections{' with TLS' * self.tls}"


# Those with a goal come first (see goals.py), so that a run that is stopped has them.
JOBS: Mapping[str, Job] = {
    job.name: job
    for job in (
        Job("echo-100", Mode.ECHO, 100),
        Job("fan-1000", Mode.FAN, 1000),
        Job("fan-1000x16", Mode.FAN, 1000, depth=16),
        Job("echo-1", Mode.ECHO, 1),
        Job("echo-1000", Mode.ECHO, 1000),
        Job("echo-100x16", Mode.ECHO, 100, depth=16),
        Job("echo-16k", Mode.ECHO, 100, size=16 * 1024),
        Job("connect", Mode.CONNECT, 32),
        Job("idle-10000", Mode.IDLE, 10_000, rounds=1),
        Job("fan-4k", Mode.FAN, 1000, size=4096),
        Job("fan-4k-frozen", Mode.FAN, 1000, size=4096, frozen=10, against="fan-4k"),
        Job("echo-tls", Mode.ECHO, 100, tls=True, rounds=2),
        Job("fan-100", Mode.FAN, 100, rounds=2),
        Job("fan-5000", Mode.FAN, 5000, rounds=2),
        Job("echo-1m", Mode.ECHO, 10, size=1024 * 1024, rounds=2),
        Job("idle-1000", Mode.IDLE, 1000, rounds=1, by_default=False),
        Job("idle-tls", Mode.IDLE, 1000, tls=True, rounds=1, by_default=False),
    )
}

DEFAULT_JOBS = tuple(name for name, job in JOBS.items() if job.by_default)
QUICK_JOBS = ("echo-100", "fan-1000")
