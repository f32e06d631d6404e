"""Runs the Autobahn test suite, a fuzzing client with some five hundred cases, against a WebSocket server that echoes.

The suite wants CPython 2.7 and gets an environment of its own, built once with pip (wsaccel needs a C compiler)::

    python tests/conformance/run.py build FOLDER [--python python2.7]
    python tests/conformance/run.py run FOLDER ws://127.0.0.1:8000 [--cases '1.*,2.*'] [--reports REPORTS]

From then on ``WSFRAMEWORK_AUTOBAHN=FOLDER`` has the tests run it too, without the long cases. All 517 take a quarter of
an hour or more, and want a server with wide limits that compresses everything, which is `echo.py` beside this::

    python tests/conformance/echo.py                                  # prints its URL
    python tests/conformance/run.py run FOLDER URL --cases '*'

With ``--save`` the second command writes what it saw to ``expected.json``, which the tests compare with, one line for
each case: how it went, how the connection ended, and the close code that the server sent. Save a run of all cases.

A server for people has other limits: ``echo.py production``, and ``--production`` for the second command. The suite
calls it a failure there that a message beyond 1 MiB is refused with 1009, and ``expected-production.json`` agrees to
exactly those.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.json"
EXPECTED_IN_PRODUCTION = HERE / "expected-production.json"

# All of the protocol, and of permessage-deflate (12 and 13) one case of each kind. Left out is what takes minutes: the
# others of 12 and 13 send the same in other sizes, and 9 measures throughput, with messages beyond our limit of 1 MiB.
CASES = (
    *("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"),
    *(f"12.{kind}.1" for kind in range(1, 6)),
    *(f"13.{kind}.1" for kind in range(1, 8)),
)

Outcome = tuple[str, str, int | None]


class SuiteError(Exception):
    """The suite could not be built, or did not run to its end."""


def build(folder: Path, python: str | None = None) -> None:
    """Build the environment of the suite."""
    python = python or find_python27()
    if python is None:
        raise SuiteError("no CPython 2.7 found; name one with --python")
    tool, target = folder / "virtualenv", folder / "py27"
    venv.create(tool, with_pip=True)
    # The last line of virtualenv that can create environments for 2.7, and the last pip that runs there.
    _call(tool / "bin" / "pip", "install", "--quiet", "virtualenv==20.21.1")
    seeds = ("--pip", "20.3.4", "--setuptools", "44.1.1", "--wheel", "0.37.1")
    _call(tool / "bin" / "virtualenv", "--quiet", "--python", python, *seeds, target)
    pip = (target / "bin" / "pip", "install", "--quiet", "--no-build-isolation")
    # What the others need to be built goes first: pip 20.3 would fetch versions that left 2.7 behind.
    _call(*pip, "setuptools==44.0.0", "wheel==0.36.2", "incremental==16.10.1")
    _call(*pip, "--requirement", HERE / "requirements.txt")


def find_python27() -> str | None:
    """A CPython 2.7 that works: pyenv's shims are there for versions that are not."""
    installed = sorted(Path.home().glob(".pyenv/versions/2.7*/bin/python"))
    for candidate in [shutil.which("python2.7"), shutil.which("python2"), *map(str, installed)]:
        if candidate is not None:
            asked = subprocess.run([candidate, "--version"], capture_output=True, text=True)
            if asked.returncode == 0 and "Python 2.7" in asked.stdout + asked.stderr:
                return candidate
    return None


def run_suite(
    folder: Path, url: str, reports: Path, cases: tuple[str, ...] = CASES, timeout: float = 7200
) -> dict[str, Outcome]:
    """Run these cases against the server at ``url``, leave the suite's reports, and return what came of each case."""
    reports.mkdir(parents=True, exist_ok=True)
    agent = "server"
    specification = reports / "specification.json"
    specification.write_text(
        json.dumps(
            {
                "outdir": str(reports.resolve()),
                "servers": [{"agent": agent, "url": url, "options": {"version": 18}}],
                "cases": list(cases),
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
        )
    )
    program = "import sys; from autobahntestsuite.wstest import run; sys.exit(run())"
    command = [folder / "py27" / "bin" / "python", "-c", program, "-m", "fuzzingclient", "-s", specification]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SuiteError(f"the suite did not run to its end: {error}") from error
    index = reports / "index.json"
    if done.returncode or not index.exists():
        raise SuiteError(f"the suite did not run to its end:\n{done.stdout[-2000:]}")
    report = json.loads(index.read_text())
    if agent not in report:
        raise SuiteError(f"no case was run: is a server at {url!r}?\n{done.stdout[-2000:]}")
    outcomes = {
        case: (outcome["behavior"], outcome["behaviorClose"], outcome["remoteCloseCode"])
        for case, outcome in report[agent].items()
    }
    return dict(sorted(outcomes.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


def load_expected(path: Path = EXPECTED) -> dict[str, Outcome]:
    """What the last agreed run saw."""
    return {case: tuple(outcome) for case, outcome in json.loads(path.read_text()).items()}


def save_expected(outcomes: Mapping[str, Outcome], path: Path = EXPECTED) -> None:
    """Agree on what a run saw."""
    lines = [f"  {json.dumps(case)}: {json.dumps(outcome)}" for case, outcome in outcomes.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="The Autobahn test suite for a WebSocket server that echoes.")
    commands = parser.add_subparsers(required=True, dest="command")
    builder = commands.add_parser("build", help="build the environment of the suite")
    builder.add_argument("folder", type=Path)
    builder.add_argument("--python", help="a CPython 2.7; found by itself on PATH and with pyenv")
    runner = commands.add_parser("run", help="run cases and count how they went")
    runner.add_argument("folder", type=Path, help="where it was built")
    runner.add_argument("url")
    runner.add_argument("--cases", default=",".join(CASES), help="patterns, separated by commas")
    runner.add_argument("--reports", type=Path, help="a folder for the suite's pages about every case")
    runner.add_argument("--production", action="store_true", help="the server has the limits that it has by default")
    runner.add_argument("--save", action="store_true", help="write what was seen to the file of what is expected")
    arguments = parser.parse_args()
    try:
        if arguments.command == "build":
            build(arguments.folder, arguments.python)
            return
        with tempfile.TemporaryDirectory() as temporary:
            reports = arguments.reports or Path(temporary)
            outcomes = run_suite(arguments.folder, arguments.url, reports, tuple(arguments.cases.split(",")))
    except SuiteError as error:
        sys.exit(f"{parser.prog}: {error}")
    print(f"{len(outcomes)} cases")
    for title, column in (("went", 0), ("ended", 1), ("close code", 2)):
        counts = Counter(outcome[column] for outcome in outcomes.values())
        print(f"{title}:", *(f"{value}={count}" for value, count in counts.most_common()))
    for case, outcome in outcomes.items():
        if "FAILED" in outcome:
            print(f"  {case} {outcome}")
    path = EXPECTED_IN_PRODUCTION if arguments.production else EXPECTED
    expected = load_expected(path) if path.exists() else {}
    for case, outcome in outcomes.items():
        if case in expected and outcome != expected[case]:
            print(f"  {case} {outcome}, where {expected[case]} was expected")
    if arguments.save:
        save_expected(outcomes, path)
    sys.exit(any("FAILED" in outcome and outcome != expected.get(case) for case, outcome in outcomes.items()))


def _call(*command: object) -> None:
    try:
        subprocess.run(list(map(str, command)), check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SuiteError(str(error)) from error


if __name__ == "__main__":
    main()
