"""The echo example under the Autobahn test suite. It runs where the suite was built: see `run.py` beside this.

The suite needs CPython 2.7, which few machines have, so its absence is never a failure.
"""

import os
from pathlib import Path

import pytest

from tests.cli.command import serve
from tests.conformance.run import load_expected, run_suite

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
