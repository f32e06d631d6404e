"""The start of a service: its limit of open files, and one sentence for a person when it cannot start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from ..errors import StartupError

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
