"""What a service asks of the system when it starts."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import os
from wsframework.cli.startup import keep_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

keep_freed_memory()
before = resident()
messages = [b"x" * 65536 for _ in range(400)]
del messages
print(resident() - before)
"""

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has such an option")


def kept(**variables: str) -> float:
    """Have a process of its own use 25 MiB for a moment; return how many of them it still has."""
    environment = {name: value for name, value in os.environ.items() if "MALLOC" not in name} | variables
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


@needs_glibc
def test_freed_memory_is_kept() -> None:
    """What messages needed is there for the next ones."""
    assert kept() > 20


@needs_glibc
def test_what_the_environment_says_holds() -> None:
    """Whoever has told glibc something else is left alone."""
    assert kept(MALLOC_TRIM_THRESHOLD_="131072") < 5
