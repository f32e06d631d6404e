#!/usr/bin/env python3
"""Set up this project and start something in it. All it needs is Python 3.11 or newer.

    python3 start.py chat     the chat room in examples/chat: prints the URL to open
    python3 start.py tests    the tests
    python3 start.py docs     the documentation, as web pages in build/site

What follows is passed on, such as `python3 start.py tests -k hub` or `python3 start.py chat --bind 127.0.0.1:9000`.

The first call makes a virtual environment in .venv, or where the variable WSFRAMEWORK_VENV says, and installs the
project into it. Later calls start at once, until pyproject.toml changes.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = Path(os.environ.get("WSFRAMEWORK_VENV") or ROOT / ".venv").absolute()
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")

UNATTENDED = {"DEBIAN_FRONTEND": "noninteractive"}

# Called by the environment's own Python, we may have to remake that environment: so use the Python behind it.
SYSTEM_PYTHON = getattr(sys, "_base_executable", None) or sys.executable

# name: (extra to install, command to run)
COMMANDS = {
    "chat": ("", [str(BIN / "wsframework"), "run", str(ROOT / "examples" / "chat" / "app.py")]),
    "tests": ("[test]", [str(PYTHON), "-m", "pytest"]),
    "docs": ("[docs]", [str(BIN / "zensical"), "build", "--clean", "--strict"]),
}


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is also for those who have only an older Python
        run([newer_python(), str(ROOT / "start.py"), *sys.argv[1:]])
    name, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if name not in COMMANDS:
        sys.exit(f"There is no command {name!r}.\n\n{__doc__}" if name else __doc__)
    extra, command = COMMANDS[name]
    os.chdir(str(ROOT))
    try:
        set_up(extra)
    except OSError as error:
        sys.exit(f"The virtual environment cannot be made: {error}")
    run([*command, *arguments])


def run(command: "list[str]") -> None:
    """Become that command. On Windows, where a process cannot, wait for it and leave with its status."""
    sys.stdout.flush()
    if os.name == "nt":
        sys.exit(subprocess.call(command))
    os.execv(command[0], command)


def newer_python() -> str:
    for minor in range(19, 10, -1):
        python = shutil.which(f"python3.{minor}")
        # A name on the path is not enough: version switchers put stubs there for versions that are switched off.
        if python and subprocess.call([python, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            return python
    sys.exit(f"Python 3.11 or newer is needed, and this is {sys.version.split()[0]}.")


def set_up(extra: str) -> None:
    """Install the project with this extra, unless that is done."""
    # The environment is made anew when Python, the project's place or its dependencies are no longer the same.
    facts = [str(sys.version_info), sys.base_prefix, str(ROOT), (ROOT / "pyproject.toml").read_text("utf-8")]
    fingerprint = hashlib.sha256("\n".join(facts).encode()).hexdigest()
    state = VENV / "made-by-start.txt"  # the fingerprint, then what is installed; empty while we are at it
    ours = state.exists()
    done = state.read_text("utf-8").split() if ours else []
    project = f"project{extra}"
    # With an extra in, the project without one is in too.
    if done[:1] == [fingerprint] and any(entry.startswith(project) for entry in done):
        return
    if VENV.exists() and not ours:
        sys.exit(f"{VENV} was not made by start.py: remove it, or set WSFRAMEWORK_VENV to another place.")
    print(f"Setting up {VENV}; the first time takes a minute or two ...", flush=True)
    if done[:1] != [fingerprint]:
        shutil.rmtree(str(VENV), ignore_errors=True)
        VENV.mkdir(parents=True)
        state.touch()
        make_environment()
        done = [fingerprint]
    if subprocess.call([*pip(), "install", "-qq", "--editable", f"{ROOT}{extra}"]):
        sys.exit("pip could not install the project: see what it says above.")
    state.write_text("\n".join([*done, project]), "utf-8")


def make_environment() -> None:
    # Debian keeps a part of venv, the one that brings pip, in a package of its own. Without it any pip will do.
    package = f"python3.{sys.version_info.minor}-venv"
    if not (available("ensurepip") or available("pip")) and shutil.which("apt-get") and os.getuid() == 0:
        print(f"Installing {package} with apt ...", flush=True)
        subprocess.call(["apt-get", "update", "-qq"])
        subprocess.call(["apt-get", "install", "-qq", "-y", package], env={**os.environ, **UNATTENDED})
    if available("ensurepip"):
        command = [SYSTEM_PYTHON, "-m", "venv", str(VENV)]
    elif available("pip"):
        command = [SYSTEM_PYTHON, "-m", "venv", "--without-pip", str(VENV)]
    else:
        sys.exit(f"This Python has neither pip nor ensurepip; on Debian, `apt install {package}` as root brings them.")
    if subprocess.call(command):
        sys.exit(f"{VENV} could not be made: see what venv says above.")


def pip() -> "list[str]":
    if (BIN / "pip").exists() or os.name == "nt":
        return [str(PYTHON), "-m", "pip"]
    return [SYSTEM_PYTHON, "-m", "pip", "--python", str(PYTHON)]


def available(module: str) -> bool:
    """Whether a new process of this Python would find that module."""
    return subprocess.call([SYSTEM_PYTHON, "-c", f"import {module}"], stderr=subprocess.DEVNULL) == 0


if __name__ == "__main__":
    main()
