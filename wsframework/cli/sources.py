"""The files whose change starts an application anew."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import aclosing
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import trio
from watchfiles import Change, awatch

from ..errors import StartupError

# Environments with all that is installed in them, what tools leave behind, and every folder that is hidden.
_IGNORED = frozenset(("__pycache__", "site-packages", "node_modules"))

logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it logs how many changes it saw; we say which

# One save is often several changes: editors write a second file and rename it. Times in milliseconds.
_QUIET = 50
_LONGEST = 400


class Sources:
    """Python files, and those that match a pattern, in some folders and all below them.

    Args:
        folders: where to look.
        includes: patterns of names besides ``*.py``, as in a shell.
    """

    def __init__(self, folders: Sequence[Path], includes: Sequence[str] = ()) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._patterns = ("*.py", *includes)

    def matches(self, path: Path) -> bool:
        """Say whether a change of this file counts."""
        for folder in self._folders:
            if path.is_relative_to(folder):
                *parents, name = path.relative_to(folder).parts or ("",)
                if any(parent in _IGNORED or parent.startswith(".") for parent in parents):
                    continue
                # What editors write beside a file that is open in them.
                if not name.startswith(".") and any(fnmatch(name, pattern) for pattern in self._patterns):
                    return True
        return False

    async def watch(self, on_change: Callable[[list[Path]], None]) -> None:
        """Call ``on_change`` with the files that have changed, until cancelled.

        Raises:
            StartupError: the system cannot watch that much.
        """
        stop = threading.Event()
        try:
            async with trio.open_nursery() as nursery:
                # The library waits in a thread, which ends when it sees this event and not when we are cancelled.
                nursery.start_soon(_set_when_cancelled, stop)
                async with aclosing(self._changes(stop)) as batches:
                    async for batch in batches:
                        on_change(sorted({Path(name) for _, name in batch}))
        except* (OSError, RuntimeError) as group:  # the second one is a base of the library's own
            folders = ", ".join(str(folder) for folder in self._folders)
            error = group.exceptions[0]
            raise StartupError(f"cannot watch {folders}: {error}; name less with --reload-dir") from group

    def _changes(self, stop: threading.Event) -> Any:
        return awatch(
            *self._folders, watch_filter=self._counts, debounce=_LONGEST, step=_QUIET, stop_event=_as_event(stop)
        )

    def _counts(self, change: Change, name: str) -> bool:
        return self.matches(Path(name))


def _as_event(stop: threading.Event) -> Any:
    return stop  # it asks for the event of an async library, and calls no more than `is_set`


async def _set_when_cancelled(stop: threading.Event) -> None:
    try:
        await trio.sleep_forever()
    finally:
        stop.set()
