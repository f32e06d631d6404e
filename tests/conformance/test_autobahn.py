"""The echo example under the Autobahn test suite. It runs where the suite was built: see `run.py` beside this.

The suite needs CPython 2.7, which few machines have, so its absence is never a failure.
"""

import os
from pathlib import Path

import pytest

from tests.cli.command import serve
from tests.conformance.run import EXPECTED_IN_PRODUCTION, load_expected, run_suite

ECHO = Path(__file__).parents[2] / "examples" / "echo" / "app.py"


@pytest.fixture
def suite() -> Path:
    folder = os.environ.get("WSFRAMEWORK_AUTOBAHN")
    if not folder:
        pytest.skip("WSFRAMEWORK_AUTOBAHN does not name a folder with the Autobahn test suite")
    if not (Path(folder) / "py27" / "bin" / "python").exists():
        pytest.skip(f"WSFRAMEWORK_AUTOBAHN={folder} has no Autobahn test suite in it")
    return Path(folder)


def test_every_case_goes_as_agreed(suite: Path, tmp_path: Path) -> None:
    """Every case of the protocol passes, ends with a close code, and goes as it went before."""
    with serve(str(ECHO), "--compression", "deflate") as served:
        outcomes = run_suite(suite, served.websocket_url, tmp_path, timeout=600)
    failed = {case: outcome for case, outcome in outcomes.items() if {"FAILED", "UNCLEAN", "WRONG CODE"} & {*outcome}}
    assert not failed
    # The one client that closes without a code is answered without one.
    assert [case for case, outcome in outcomes.items() if outcome[2] is None] == ["7.3.1"]
    expected = load_expected()
    assert outcomes == {case: expected[case] for case in outcomes}


def test_what_production_refuses_is_too_big_and_nothing_else() -> None:
    """Both runs of all cases were agreed to: they differ in what the smaller limit on messages refuses, with 1009."""
    wide, production = load_expected(), load_expected(EXPECTED_IN_PRODUCTION)
    assert len(wide) == 517
    assert not [case for case, (went, ended, _) in wide.items() if "FAILED" in (went, ended)]
    assert [case for case, (_, _, code) in wide.items() if code is None] == ["7.3.1"]
    differ = {case: outcome for case, outcome in production.items() if outcome != wide[case]}
    assert {*differ.values()} == {("FAILED", "FAILED", 1009)}
    assert all(case.startswith("9.") for case in differ), "only section 9 sends messages beyond 1 MiB"
    assert wide.keys() == production.keys()
