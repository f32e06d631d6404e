"""Order, completeness and recovery, in histories that hypothesis makes up and Trio's scheduler shuffles.

`HubMachine` says what must hold. That it would notice is tested too: each of the faults breaks the hub on purpose.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.hub.faults import FAULTS, Fault
from tests.hub.machine import HubMachine
from wsframework.hub import publication, pump, replay, subscriber, topic

# What only random inputs reach counts as not covered. Besides, the tracer would take half of the time, or more.
pytestmark = pytest.mark.no_cover


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pump lets others run after each single subscriber, and writes and reads of a memory hold two messages."""
    monkeypatch.setattr(pump, "_PIECE", 1)
    monkeypatch.setattr(pump, "_MOST", 1)
    monkeypatch.setattr(replay, "_AT_ONCE", 2)
    for module in (publication, topic, subscriber):
        monkeypatch.setattr(module, "WRITE_SIZE", 8)


def check(examples: int, *phases: Phase) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        HubMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            phases=phases or tuple(Phase),
            derandomize=True,  # the same histories each time
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_hub_keeps_its_promises() -> None:
    """One order, no hole and nothing twice, direct messages in their place, exact gaps, and no false recovery."""
    check(60)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_found(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The histories are wild enough: each fault makes one of them fail."""
    fault(monkeypatch)
    with pytest.raises((AssertionError, ExceptionGroup)) as caught:
        check(1000, Phase.generate)  # as a rule less than a hundred will do
    assert isinstance(caught.value, AssertionError) or caught.group_contains(AssertionError)
