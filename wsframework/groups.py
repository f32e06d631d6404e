"""Exception groups: what the nurseries on an error's way have put around it."""

from __future__ import annotations

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def first(group: BaseExceptionGroup[E]) -> E:
    """Return the first error in a group, however deep it is."""
    error = group.exceptions[0]
    return first(error) if isinstance(error, BaseExceptionGroup) else error


def alone(error: Exception) -> Exception:
    """Take an error out of all of its groups, if it is the only one in them; else return the group as it is."""
    inner = error
    while isinstance(inner, ExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return error if isinstance(inner, ExceptionGroup) else inner


def unwrap(group: ExceptionGroup[Exception]) -> Exception:
    """Take a single error out of the group that ``except*`` made for it; leave a group of the program's as it is."""
    return group if group.message else group.exceptions[0]
