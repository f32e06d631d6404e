"""The programs of examples/, run by tests, and which of them are."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

ROOT = Path(__file__).parents[1]
PATIENCE = 30.0  # seconds until a process is given up

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
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read(name: str) -> str:
    """Return a file of examples/."""
    return (ROOT / "examples" / name).read_text("utf-8")
