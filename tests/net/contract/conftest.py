"""Fixtures of the contract."""

import pytest

from tests.net.contract.diary import Diary


@pytest.fixture
def diary() -> Diary:
    return Diary()
