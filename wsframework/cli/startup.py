"""Turns what keeps a service from starting into one sentence for the person who started it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..errors import StartupError


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
