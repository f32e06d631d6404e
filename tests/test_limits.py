"""Limits: every bound has a default, can be chosen, and must make sense."""

import attrs
import pytest

from wsframework import Limits

NAMES = [field.name for field in attrs.fields(Limits)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, -0.5, "1", float("nan")])
def test_a_limit_is_a_number_above_zero(name: str, value: object) -> None:
    """Zero and less, text, and what is no number are refused, and the message names the limit."""
    with pytest.raises(ValueError, match=f"Limits\\({name}=.*a limit is a number above zero"):
        Limits(**{name: value})  # type: ignore[arg-type]


OFF = {"ping_interval", "connections", "connections_per_address", "messages_per_second", "bytes_per_second"}


@pytest.mark.parametrize("name", sorted(OFF))
def test_a_limit_that_may_be_none(name: str) -> None:
    """None never pings, counts nobody, and lets everybody send as fast as they can."""
    assert getattr(Limits(**{name: None}), name) is None


@pytest.mark.parametrize("name", sorted(set(NAMES) - OFF))
def test_every_other_limit_is_there(name: str) -> None:
    """None is no number."""
    with pytest.raises(ValueError, match=name):
        Limits(**{name: None})  # type: ignore[arg-type]


def test_limits_are_chosen_by_name() -> None:
    """A chosen limit has its value and all others their default."""
    assert Limits(message=10) == attrs.evolve(Limits(), message=10)
    with pytest.raises(TypeError, match="positional"):
        Limits(10)  # type: ignore[misc]


def test_limits_do_not_change() -> None:
    """Connections share their limits, so nobody can change them."""
    limits = Limits()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        limits.message = 10  # type: ignore[misc]
    assert limits == Limits()
