"""The files of this folder are checked as users' code would be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.parametrize("checker", [["mypy", "--strict", "--cache-dir", ""], ["basedpyright", "--level", "error"]])
def test_types(checker: list[str], tmp_path: Path) -> None:
    """mypy and pyright agree with every `assert_type`, and find every mistake that is made on purpose."""
    files = sorted(str(path) for path in HERE.glob("*.py") if not path.name.startswith("test_"))
    command = [str(tmp_path / "cache") if argument == "" else argument for argument in checker]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-m", *command, *files],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
