"""The programs that tests run: those of examples/, and which of them are; and commands that start others."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TypeVar

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0  # seconds until a process is given up

T = TypeVar("T")
SHOWN: set[str] = set()  # files of examples/ that a test runs


def shows(*names: str) -> Callable[[T], T]:
    """Note that a test runs these files of examples/."""
    SHOWN.update(names)
    return lambda test: test


def load(name: str) -> ModuleType:
    """Run a file of examples/ as a fresh module."""
    path = ROOT / "examples" / name
    spec = importlib.util.spec_from_file_location(f"example_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where annotations are looked up
    spec.loader.exec_module(module)
    return module


def run(*arguments: str) -> str:
    """Run a program of examples/ to its end and return what it printed."""
    done = run_python(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_python(*arguments: str, patience: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments to its end, from the folder of the project.

    When it is given up, what it has started ends with it: servers would stay for good, and disturb what comes after.
    """
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=patience)
        except BaseException:
            _kill_group(process)
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def _kill_group(process: subprocess.Popen[str]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def read(name: str) -> str:
    """Return a file of examples/."""
    return (ROOT / "examples" / name).read_text("utf-8")
