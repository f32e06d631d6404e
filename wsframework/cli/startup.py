"""The start of a service: what its process asks of the system, and one sentence for a person when it cannot start."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from ..errors import StartupError
from ..limits import MIB

# Of mallopt(3): the most free memory at the end of the heap, and the size from which on a block is mapped by itself.
_TRIM_THRESHOLD = (-1, 64 * MIB)
_MMAP_THRESHOLD = (-3, 8 * MIB)

if sys.platform != "win32":
    import resource


@contextmanager
def startup_errors() -> Iterator[None]:
    """Raise click's exception, which is shown as one sentence, for a `StartupError` and for groups of them."""
    try:
        yield
    except StartupError as error:
        raise click.ClickException(str(error)) from error
    except BaseExceptionGroup as group:
        refusals, rest = group.split(StartupError)
        if refusals is None or rest is not None:
            raise
        # Several workers may have failed for the same reason.
        sentences = dict.fromkeys(str(error) for error in _leaves(refusals))
        raise click.ClickException("\n".join(sentences)) from group


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard one, as Go's runtime does; a connection is an open file.

    The soft limit is 1024 on most systems, for the sake of programs that call select(), which this one does not.
    """
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):  # macOS has a lower limit of its own that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def keep_freed_memory() -> None:
    """Have glibc keep up to 64 MiB that were freed, where it would give them back and take them again.

    A message of many kilobytes is memory that lives for a moment. By default its pages go back to the system when it
    is done, and are asked for and cleared again for the next: a fifth of the work for an echo of 16 KiB, and nearly
    half for one of 1 MiB (the command is in benchmarks/README.md).
    Whoever has set glibc's own variables is left alone, and so are other C libraries.
    """
    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    with suppress(OSError, AttributeError):  # musl, for one, has no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            mallopt(*option)
