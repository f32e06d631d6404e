"""What all tests share."""

import os
import shutil
from collections.abc import Callable

import hypothesis
import pytest

# Times are not for tests to judge on a machine that is shared, and a profile says so once for all.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")


@pytest.fixture(scope="session")
def require() -> Callable[..., str]:
    """The path of a program that a test needs and that Python does not bring: ``require("chromium")``.

    With several names the first that is installed counts. Where none is, the test is skipped and says so; with
    WSFRAMEWORK_REQUIRE_ALL=1 it fails instead, so that where all is said to be installed nothing goes untested.
    """

    def find(*names: str) -> str:
        for name in names:
            if (path := shutil.which(name)) is not None:
                return path
        reason = f"{' or '.join(names)} is not installed"
        if os.environ.get("WSFRAMEWORK_REQUIRE_ALL") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    return find
