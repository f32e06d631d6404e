"""The benchmarks run and report; how fast anything is, is not tested."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import trio

from benchmarks.__main__ import in_order
from benchmarks.chart import draw
from benchmarks.comparison import Budget, Comparison, Measurement, schedule
from benchmarks.goals import GOALS, Goal, evaluate
from benchmarks.jobs import DEFAULT_JOBS, JOBS, Job, Mode
from benchmarks.load import Programs, Sample, compiled_programs, find_compiler
from benchmarks.page import DOCS, PAGE, make_page
from benchmarks.processes import choose_cores
from benchmarks.readme import BEGIN, COLUMNS, END, README, ROWS, write_table
from benchmarks.report import Report, notes, summarize
from benchmarks.servers import FLOOR, Peer, find_peers
from tests.programs import run_python

needs_load = pytest.mark.skipif(
    sys.platform != "linux" or find_compiler() is None, reason="the load generator needs Linux and a C compiler"
)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return run_python("-m", "benchmarks", *arguments, patience=120)


@needs_load
@pytest.mark.parametrize("job", ["echo-1", "echo-1m", "fan-100", "connect", "idle-1000"])
def test_one_command(job: str, tmp_path: Path) -> None:
    """One command measures, prints a table and writes JSON."""
    path = tmp_path / "result.json"
    done = run("--jobs", job, "--peers", "wsframework", "--rounds", "1", "--seconds", "0.8", "--json", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert job in done.stdout
    [row] = json.loads(path.read_text())["summary"]
    assert row["error"] is None
    assert row["ratio"] == 1
    assert row["median"]["missing"] == 0
    assert row["median"]["connection_bytes" if job == "idle-1000" else "rate"] > 0


@needs_load
def test_floor() -> None:
    """The floor is measured like a server, and the load generator is never said to be its bottleneck."""
    done = run("--jobs", "echo-100", "--peers", "wsframework,floor", "--rounds", "1", "--seconds", "0.8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "floor" in done.stdout
    assert "generator-bound" not in done.stdout


@needs_load
def test_frozen_clients() -> None:
    """The clients that read are served while others do not, and only theirs is counted as missing."""
    job = Job("few", Mode.FAN, 20, size=4096, frozen=2)
    runs = [(job, find_peers()["wsframework"], 0)]
    with compiled_programs() as programs:
        comparison = Comparison(programs=programs, cores=choose_cores(), seconds=0.2)
        trio.run(comparison.run, runs)
    [measured] = comparison.measurements
    assert measured.error is None
    assert measured.sample is not None
    assert measured.sample.missing == 0
    assert measured.sample.growth_bytes is not None


WAITS_FOR_EACH = """
import trio, sys
from trio_websocket import serve_websocket

subscribers = []

async def handle(request):
    websocket = await request.accept()
    subscribers.append(websocket)
    while True:
        message = await websocket.get_message()
        for subscriber in subscribers:
            await subscriber.send_message(message)

trio.run(serve_websocket, handle, "127.0.0.1", int(sys.argv[1]), None)
"""


@needs_load
def test_a_server_that_frozen_clients_stop_is_said_to_have_stalled(tmp_path: Path) -> None:
    """It does not hang the benchmark, it is not asked again, and how far it came is a number."""
    (tmp_path / "server.py").write_text(WAITS_FOR_EACH)
    job = Job("few", Mode.FAN, 20, size=64 * 1024, frozen=2, against="free")
    peer = Peer("waits", "", (sys.executable, str(tmp_path / "server.py"), "{port}"))
    with compiled_programs() as programs:
        comparison = Comparison(programs=programs, cores=choose_cores(), seconds=0.2)
        trio.run(comparison.run, [(job, peer, 0), (job, peer, 1)])
    [measured] = comparison.measurements
    assert measured.error is None
    assert measured.sample is not None
    assert measured.sample.rate == 0
    assert measured.sample.stalled_after is not None
    [row] = summarize([measured], [job], [peer])
    assert row.stalled
    [[note, _]] = notes([row], job).items()
    assert note.startswith("stalled: 2 clients that do not read held up all the others")


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


def test_schedule_lets_jobs_alternate_that_are_compared() -> None:
    """A peer's run with frozen clients follows its run without, so that both are measured on the same machine."""
    a, b = (Peer(name, "", ()) for name in "ab")
    jobs = [JOBS["fan-4k"], JOBS["fan-4k-frozen"]]
    order = [(peer.name, job.frozen) for job, peer, _ in schedule(jobs, [a, b], 2)]
    assert order == [("a", 0), ("a", 10), ("b", 0), ("b", 10), ("b", 0), ("b", 10), ("a", 0), ("a", 10)]


def test_budget_is_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job has its share and what others left of theirs; without a bound everything is allowed."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    budget = Budget(10, runs=30)
    budget.begin(10)
    assert budget.allows(200)
    assert not budget.allows(201)
    now += 100
    budget.begin(10)  # 500 seconds are left for 20 runs
    assert budget.allows(250)
    assert not budget.allows(251)
    now += 499
    assert not budget.is_over
    now += 1
    assert budget.is_over
    assert Budget(None, runs=1).allows(1e9)


def test_a_run_of_the_command_keeps_what_it_has(tmp_path: Path) -> None:
    """The file is written after each job, and a job for which no time is left is not measured."""
    names, peer, path = ("echo-1", "fan-100"), Peer("ours", "", ()), tmp_path / "result.json"
    runs = list(schedule([JOBS[name] for name in names], [peer], 1))
    written: list[int] = []

    class Fake(Comparison):
        async def _run(self, job: Job, peer: Peer, number: int) -> None:
            self.measurements.append(Measurement(job.name, peer.name, number, sample(1.0)))

    comparison = Fake(
        programs=Programs(path, path),
        cores=(0, 0),
        seconds=1,
        on_job=lambda: written.append(len(comparison.measurements)),
    )
    trio.run(comparison.run, runs)
    assert written == [1, 2]
    trio.run(comparison.run, runs, 0)
    assert len(comparison.measurements) == 2


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


def test_goals() -> None:
    """A goal is compared round by round; the smallest Python server counts, and what was not measured is said to be."""
    measurements = [
        *(Measurement("echo-100", "wsframework", number, sample(300.0 / (number + 1))) for number in range(3)),
        *(Measurement("echo-100", "starlette-uvicorn", number, sample(100.0 / (number + 1))) for number in range(3)),
        Measurement("echo-100", "picows", 0, sample(1000.0)),
        Measurement("idle-10000", "wsframework", 0, Sample(connection_bytes=8 * 1024.0)),
        Measurement("idle-10000", "granian", 0, Sample(connection_bytes=1024.0)),
        Measurement("idle-10000", "websockets-trio", 0, Sample(connection_bytes=80 * 1024.0)),
        Measurement("idle-10000", "trio-websocket", 0, Sample(connection_bytes=40 * 1024.0)),
    ]
    uvicorn, hypercorn, picows, kibibytes, smallest = evaluate(measurements)
    assert (uvicorn.measured, uvicorn.is_reached) == (pytest.approx(3), True)
    assert (hypercorn.measured, hypercorn.is_reached, hypercorn.margin) == (None, None, None)
    assert (picows.is_reached, picows.margin) == (False, pytest.approx(0.5))
    assert (kibibytes.measured, kibibytes.is_reached, kibibytes.margin) == (8, True, 1.25)
    assert (smallest.measured, smallest.beside) == (5, "trio-websocket")


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: f"{goal.job}: {goal.what}, {goal.beside}")
def test_goals_name_jobs_and_peers_that_are_there(goal: Goal) -> None:
    """So that none is left out of the report by a slip."""
    peers = find_peers()
    assert goal.job in DEFAULT_JOBS
    assert peers[goal.ours].does(goal.job)
    assert goal.beside not in peers or peers[goal.beside].does(goal.beside_job or goal.job)


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
        Measurement("fan-4k-frozen", "a<b", 0, Sample(rate=0.0, stalled_after=7.0)),
        Measurement("idle-1000", "wsframework", 0, Sample(connection_bytes=10_240.0)),
        Measurement("idle-1000", "a<b", 0, Sample(connection_bytes=20_480.0)),
    ]
    machine = {
        "date": "2030-01-02",
        "processor": "Z80",
        "cores": 2,
        "load": 0.1,
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
    assert {"1,000", "≥ 2,000", "300", "stalled", "10.0", "20.0", "a<b"} <= set(texts)


def test_page(report: Report) -> None:
    """It says when and where it was measured, what was left out, and has every number."""
    page = make_page(report, *parts(report))
    for words in (
        "2030-01-02",
        "Z80",
        "c was left out: not installed",
        "≤ 0.50",
        "stalled",
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


def test_peers_of_a_kept_report_are_in_the_order_of_the_run() -> None:
    """The baseline is first; a peer that does few jobs, and so comes late in the rows, has its usual place."""
    known = {name: Peer(name, "", ()) for name in ("a", "few", "b", "base")}
    rows = summarize([], [JOBS["echo-1"]], [Peer(name, "", ()) for name in ("base", "a", "b", "gone", "few")])
    assert in_order(rows, known) == ["base", "a", "few", "b", "gone"]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|\n").split("|")]


def test_readme_has_the_numbers_of_the_page() -> None:
    """Each number of the README's table is the one in the page's, so both are of the same run."""
    table = README.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    lines = [cells(line) for line in table.splitlines() if line.startswith("|")]
    page = (DOCS / PAGE).read_text("utf-8").partition("## How many times as fast")[2].partition("\n## ")[0]
    heading, _, *overview = [cells(line) for line in page.splitlines() if line.startswith("|")]
    ratios = {(line[0], peer): cell for line in overview for peer, cell in zip(heading, line, strict=True)}
    names = {JOBS[name].title: name for name in ROWS}
    peers = list(COLUMNS)
    assert lines[0][1:] == list(COLUMNS.values())
    assert lines[2:], "the README has no numbers"
    for title, *numbers in lines[2:]:
        assert numbers == [ratios.get((names[title], peer), "-") for peer in peers]


def test_readme_is_written_between_its_markers(report: Report, tmp_path: Path) -> None:
    """What stands around them stays, and a README without them is not touched."""
    path = tmp_path / "README.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_table(path, report)
    write_table(path, report)
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert text.count("2030-01-02") == 1
    path.write_text("no place")
    with pytest.raises(ValueError, match="has no place for the table"):
        write_table(path, report)
    assert path.read_text() == "no place"
