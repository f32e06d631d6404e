"""What the server has before and after, and what of it may differ."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

State = Mapping[str, Any]

# What clients bring with them has to go with them, all of it.
EXACT = (
    "tasks",
    "sockets",
    "websockets",
    "descriptors",
    "topics",
    "subscribers",
    "subscriptions",
    "present",
    "behind",
    "waiting",
    "waiting_bytes",
)


@attrs.frozen
class Allowance:
    """How much more there may be of something that never comes back to the very same number."""

    name: str
    amount: int
    unit: int
    unit_name: str
    reason: str


ALLOWANCES = (
    Allowance(
        "objects",
        5_000,
        1,
        "",
        "blocks of Python's allocator. Caches and dictionaries grow with what they have met once. Ten minutes are tens "
        "of thousands of connections, so one forgotten object for each would be several times as many",
    ),
    Allowance(
        "memory",
        8 * 1024 * 1024,
        1024 * 1024,
        " MiB",
        "resident memory. A page goes back to the system when nothing on it lives any more, so it depends on where the "
        "few objects are that stayed. One kilobyte forgotten for each connection would be tens of megabytes",
    ),
)


@attrs.frozen
class Line:
    """One thing that is counted."""

    name: str
    before: str
    highest: str
    after: str
    allowed: str
    is_back: bool


def compare(before: State, highest: State, after: State) -> Iterator[Line]:
    """Yield what is counted, with whether it is back at what it was before."""
    for name in EXACT:
        values = (before[name], highest.get(name, 0), after[name])
        yield Line(name, *(f"{value:,}" for value in values), "the same", after[name] == before[name])
    for allowance in ALLOWANCES:
        name = allowance.name
        shown = [_show(state.get(name, 0), allowance) for state in (before, highest, after)]
        allowed = f"+{_show(allowance.amount, allowance)}"
        yield Line(name, *shown, allowed, after[name] - before[name] <= allowance.amount)


def is_settled(before: State, after: State) -> bool:
    """Whether everything that has to be the same is."""
    return all(after[name] == before[name] for name in EXACT)


def _show(value: int, allowance: Allowance) -> str:
    return f"{value:,}" if allowance.unit == 1 else f"{value / allowance.unit:,.1f}{allowance.unit_name}"
