"""The benchmarks run and report; how fast anything is, is not tested."""

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest
import trio

from benchmarks.chart import draw
from benchmarks.comparison import Measurement, compare, schedule
from benchmarks.jobs import JOBS, Job, Mode
from benchmarks.load import Sample, compiled_programs, find_compiler
from benchmarks.page import make_page
from benchmarks.processes import choose_cores
from benchmarks.report import Report, summarize
from benchmarks.servers import FLOOR, Peer, find_peers

PROJECT = Path(__file__).parent.parent

needs_load = pytest.mark.skipif(
    sys.platform != "linux" or find_compiler() is None, reason="the load generator needs Linux and a C compiler"
)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)


@needs_load
@pytest.mark.parametrize("job", ["echo-1", "echo-1m", "fan-100", "connect", "idle-1000"])
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


def test_primitives() -> None:
    """Every building block has a line, and costs something."""
    command = [sys.executable, "-m", "benchmarks.primitives"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    costs = {name: float(number) for name, number in re.findall(r"^(.*\S) +([0-9.]+) us$", done.stdout, re.MULTILINE)}
    assert {"an empty nursery", "a checkpoint", "an echoed message, without a socket"} < costs.keys()
    assert all(costs.values())


@needs_load
def test_floor() -> None:
    """The floor is measured like a server, and the load generator is never said to be its bottleneck."""
    done = run("--jobs", "echo-100", "--peers", "wsframework,floor", "--rounds", "1", "--seconds", "0.2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "floor" in done.stdout
    assert "generator-bound" not in done.stdout


@needs_load
def test_frozen_clients() -> None:
    """The clients that read are served while others do not, and only theirs is counted as missing."""
    job = Job("few", Mode.FAN, 20, size=4096, frozen=2)
    runs = [(job, find_peers()["wsframework"], 0)]
    with compiled_programs() as programs:
        [measured] = trio.run(partial(compare, runs, programs=programs, cores=choose_cores(), seconds=0.2))
    assert measured.error is None
    assert measured.sample is not None
    assert measured.sample.missing == 0


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


def sample(rate: float, **more: float) -> Sample:
    return Sample(rate=rate, p50_us=100.0, p99_us=more.pop("p99_us", 200.0), cpu_us=1e6 / rate, **more)


def test_a_busy_generator_is_said_to_be_the_bound_unless_the_floor_is_well_above() -> None:
    """A rate counts as the server's where the same load generator got clearly more out of the floor."""
    job, peers = JOBS["echo-1"], [Peer(name, "", ()) for name in ("slow", "fast", FLOOR)]
    rates = {"slow": 100.0, "fast": 900.0, FLOOR: 1000.0}
    measurements = [Measurement(job.name, name, 0, sample(rate, generator_busy=0.95)) for name, rate in rates.items()]
    rows = {row.peer: row for row in summarize(measurements, [job], peers)}
    assert not rows["slow"].generator_bound
    assert rows["fast"].generator_bound
    assert rows["slow"].headroom == 10


def test_what_frozen_clients_do_is_a_ratio_of_the_same_round() -> None:
    """The job with frozen clients is compared with the one without, round by round."""
    free, frozen, peer = JOBS["fan-4k"], JOBS["fan-4k-frozen"], Peer("ours", "", ())
    measurements = []
    for number, speed in enumerate([1.0, 0.1]):
        measurements.append(Measurement(free.name, "ours", number, sample(speed * 100, p99_us=10 / speed)))
        measurements.append(Measurement(frozen.name, "ours", number, sample(speed * 90, p99_us=12 / speed)))
    [_, row] = summarize(measurements, [free, frozen], [peer])
    assert row.frozen_rate == pytest.approx(0.9)
    assert row.frozen_p99 == pytest.approx(1.2)


def test_a_job_that_a_peer_is_not_made_for() -> None:
    """It is neither run nor reported."""
    job, peers = JOBS["echo-tls"], [Peer("a", "", ()), Peer("b", "", (), None, frozenset({"echo-tls"}))]
    assert [peer.name for _, peer, _ in schedule([job], peers, 1)] == ["a"]
    assert [row.peer for row in summarize([], [job], peers)] == ["a"]


def test_a_peer_whose_package_is_not_installed() -> None:
    """Why a peer cannot run here is the last line of what importing it said."""
    assert find_peers()["wsframework"].why_not() is None
    reason = Peer("other", "", (), "benchmarks.peers.nowhere").why_not()
    assert reason == "ModuleNotFoundError: No module named 'benchmarks.peers.nowhere'"


@pytest.fixture
def report() -> Report:
    """What a small run might have found."""
    jobs = [JOBS["echo-1"], JOBS["fan-4k-frozen"], JOBS["idle-1000"]]
    peers = [Peer("wsframework", "", ()), Peer("a<b", "", ())]
    measurements = [
        Measurement("echo-1", "wsframework", 0, sample(1000.0, generator_busy=0.5)),
        Measurement("echo-1", "a<b", 0, sample(2000.0, generator_busy=0.95)),
        Measurement("fan-4k-frozen", "wsframework", 0, sample(300.0)),
        Measurement("fan-4k-frozen", "a<b", 0, None, "10 clients held up all the others"),
        Measurement("idle-1000", "wsframework", 0, Sample(connection_bytes=10_240.0)),
        Measurement("idle-1000", "a<b", 0, Sample(connection_bytes=20_480.0)),
    ]
    machine = {
        "date": "2030-01-02",
        "processor": "Z80",
        "cores": 2,
        "system": "Linux",
        "python": "CPython",
        "packages": {},
    }
    return Report(machine, 1.5, measurements, summarize(measurements, jobs, peers), {"c": "not installed"})


def parts(report: Report) -> tuple[list[Job], list[Peer]]:
    names = dict.fromkeys(row.job for row in report.summary)
    return [JOBS[name] for name in names], [Peer("wsframework", "", ()), Peer("a<b", "", ())]


def test_chart(report: Report) -> None:
    """It is well-formed XML with a bar for each number, and says where there is none and where it may be more."""
    root = ElementTree.fromstring(draw(report.summary, *parts(report)))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    bars = [element for element in root.iter("{http://www.w3.org/2000/svg}rect") if "bar" in element.get("class", "")]
    assert len(bars) == 5
    assert {"1,000", "≥ 2,000", "300", "stands still", "10.0", "20.0", "a<b"} <= set(texts)


def test_page(report: Report) -> None:
    """It says when and where it was measured, what was left out, and has every number."""
    page = make_page(report, *parts(report))
    for words in (
        "2030-01-02",
        "Z80",
        "c was left out: not installed",
        "≤ 0.50",
        "stands still",
        "10.0",
        "assets/speed.svg",
    ):
        assert words in page, words


def test_report_is_kept(report: Report, tmp_path: Path) -> None:
    """What was written can be read, and a page can be made of it later without measuring."""
    report.write(tmp_path / "report.json")
    assert Report.read(tmp_path / "report.json") == report
    done = run("--read", str(tmp_path / "report.json"))
    assert done.returncode == 0, done.stderr
    assert "c was left out: not installed" in done.stdout
