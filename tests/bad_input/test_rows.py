"""The rows and the tests have each other."""

from __future__ import annotations

from tests.bad_input import test_answers, test_compression, test_ends, test_frames, test_handshake, test_limits
from tests.bad_input.attack import Case
from tests.bad_input.rows import OUT_OF_SCOPE, ROWS

MODULES = (test_handshake, test_answers, test_compression, test_frames, test_ends, test_limits)
CASES: list[Case] = [case for module in MODULES for case in module.CASES]


def test_every_row_is_tested_or_has_a_reason_why_not() -> None:
    """No row is forgotten, and none is called out of scope that is tested after all."""
    tested = {case.row.partition(" ")[0] for case in CASES}
    assert set(ROWS) - tested == set(OUT_OF_SCOPE)
    assert {row for row in tested - set(ROWS) if not row.startswith("N")} == set()


def test_every_case_has_a_name_of_its_own() -> None:
    """What a test is called says which row failed, and how."""
    names = [case.row for case in CASES]
    assert [name for name in names if names.count(name) > 1] == []
