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


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"ping_interval"}))
def test_only_pings_can_be_switched_off(name: str) -> None:
    """None is no limit, except that ``ping_interval=None`` never pings."""
    assert Limits(ping_interval=None).ping_interval is None
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
