"""``--limit NAME=VALUE``: a field of `Limits` on the command line."""

from __future__ import annotations

import re
from typing import Any

import attrs
import click

from ..limits import KIB, MIB, Limits

Limit = tuple[str, int | float | None]

_UNITS = {"": 1, "kib": KIB, "mib": MIB, "gib": 1024 * MIB}
_VALUE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) *(?P<unit>[a-z]*)", re.IGNORECASE)


def parse_limits(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Limit, ...]:
    """Parse what was written behind ``--limit``, as click's callback."""
    return tuple(parse_limit(value) for value in values)


def parse_limit(text: str) -> Limit:
    """Turn ``message=4MiB`` into ``("message", 4194304)``.

    A size may have a unit: KiB, MiB or GiB. ``none`` is for the limits that may be None.

    Raises:
        click.BadParameter: there is no such limit, or it cannot have this value.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    kinds = {field.name: str(field.type) for field in attrs.fields(Limits)}
    if not equals:
        raise click.BadParameter(f"{text!r} is no NAME=VALUE, such as message=4MiB.")
    if name not in kinds:
        raise click.BadParameter(f"there is no limit {name!r}; the limits are {', '.join(kinds)}.")
    number = _parse_number(name, value, kinds[name])
    chosen: dict[str, Any] = {name: number}
    try:
        Limits(**chosen)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error
    return name, number


def _parse_number(name: str, text: str, kind: str) -> int | float | None:
    if text.lower() == "none":
        return None
    found = _VALUE.fullmatch(text)
    unit = found["unit"].lower() if found is not None else ""
    if found is None or unit not in _UNITS:
        raise click.BadParameter(f"{name}={text} is no number, and no size such as 64KiB or 4MiB.")
    if unit and name.endswith(("timeout", "interval")):
        raise click.BadParameter(f"{name} is a number of seconds, without a unit.")
    number = float(found["number"]) * _UNITS[unit]
    if not kind.startswith("int"):
        return number
    if number != int(number):
        raise click.BadParameter(f"{name}={text} is no whole number.")
    return int(number)
