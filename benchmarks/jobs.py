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

    by_default: bool = True

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
                where = f"{self.connections:,} connection{'s' * (self.connections > 1)}"
                return f"echo of {size}, {where}, {self.depth} in flight on each"
            case Mode.FAN:
                return f"fan-out of {size} to {self.connections:,} subscribers, {self.depth} in flight"
            case Mode.CONNECT:
                return f"connect, upgrade and close, {self.connections} at a time"
            case Mode.IDLE:
                return f"memory of {self.connections:,} idle connections"


JOBS: Mapping[str, Job] = {
    job.name: job
    for job in (
        Job("echo-1", Mode.ECHO, 1),
        Job("echo-100", Mode.ECHO, 100),
        Job("echo-1000", Mode.ECHO, 1000),
        Job("echo-100x16", Mode.ECHO, 100, depth=16),
        Job("echo-16k", Mode.ECHO, 100, size=16 * 1024),
        Job("echo-1m", Mode.ECHO, 10, size=1024 * 1024, by_default=False),
        Job("fan-100", Mode.FAN, 100, by_default=False),
        Job("fan-1000", Mode.FAN, 1000),
        Job("fan-1000x16", Mode.FAN, 1000, depth=16),
        Job("fan-5000", Mode.FAN, 5000, by_default=False),
        Job("connect", Mode.CONNECT, 32, by_default=False),
        Job("idle-1000", Mode.IDLE, 1000, by_default=False),
        Job("idle-10000", Mode.IDLE, 10_000, by_default=False),
    )
}

DEFAULT_JOBS = tuple(name for name, job in JOBS.items() if job.by_default)
QUICK_JOBS = ("echo-100", "fan-1000")
