"""The benchmarks run and report; how fast anything is, is not tested."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.comparison import Measurement, schedule
from benchmarks.jobs import JOBS
from benchmarks.load import Sample, find_compiler
from benchmarks.report import summarize
from benchmarks.servers import Peer, find_peers

PROJECT = Path(__file__).parent.parent

needs_load = pytest.mark.skipif(
    sys.platform != "linux" or find_compiler() is None, reason="the load generator needs Linux and a C compiler"
)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)


@needs_load
@pytest.mark.parametrize("job", ["echo-1", "fan-100", "connect", "idle-1000"])
def test_one_command(job: str, tmp_path: Path) -> None:
    """One command measures, prints a table and writes JSON."""
    path = tmp_path / "result.json"
    done = run("--jobs", job, "--peers", "wsframework", "--rounds", "1", "--seconds", "0.3", "--json", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert job in done.stdout
    [row] = json.loads(path.read_text())["summary"]
    assert row["error"] is None
    assert row["ratio"] == 1
    assert row["median"]["missing"] == 0
    assert row["median"]["connection_bytes" if job == "idle-1000" else "rate"] > 0


@needs_load
def test_a_peer_that_does_not_start() -> None:
    """A server that ends at once is named with its last words, and the others are measured all the same."""
    done = run(
        "--also", f"broken={sys.executable} -c 'raise SystemExit(\"no, {{port}} is not for me\")'",
        "--peers", "wsframework,broken", "--jobs", "echo-1", "--rounds", "2", "--seconds", "0.1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is not for me" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks need Linux")
@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("--jobs", "nonsense"), "there is no job 'nonsense'; there are: echo-1"),
        (("--peers", "nonsense"), "there is no peer 'nonsense'; there are: wsframework"),
        (("--also", "nonsense"), "must look like"),
    ],
)
def test_wrong_option(arguments: tuple[str, ...], answer: str) -> None:
    """A wrong option gets one clear sentence."""
    done = run(*arguments)
    assert done.returncode == 2
    assert answer in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_find_peers() -> None:
    """Every server has a description, ours comes first, and nothing that is not a server is among them."""
    peers = find_peers()
    assert next(iter(peers)) == "wsframework"
    assert {"starlette-uvicorn", "starlette-hypercorn"} <= peers.keys()
    assert all(peer.description.endswith(".") for peer in peers.values())


def test_schedule_takes_turns() -> None:
    """Every peer does every job once per round, and each round begins with another peer."""
    a, b = (Peer(name, "", ()) for name in "ab")
    order = [peer.name for _, peer, _ in schedule([JOBS["echo-1"]], [a, b], 3)]
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_ratios_are_taken_round_by_round() -> None:
    """A machine that was slower in one round does not change a ratio."""
    job, peers = JOBS["echo-1"], [Peer("ours", "", ()), Peer("theirs", "", ())]
    measurements = []
    for number, speed in enumerate([1.0, 0.1, 0.5]):
        measurements.append(Measurement(job.name, "ours", number, Sample(rate=speed * 300, cpu_us=1 / speed)))
        measurements.append(Measurement(job.name, "theirs", number, Sample(rate=speed * 100, cpu_us=2 / speed)))
    ours, theirs = summarize(measurements, [job], peers)
    assert ours.ratio == 1
    assert theirs.ratio == pytest.approx(3)
    assert theirs.cpu_ratio == pytest.approx(2)
    assert theirs.median is not None
    assert theirs.median.rate == 50
