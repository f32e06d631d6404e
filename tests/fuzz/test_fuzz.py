"""Every fuzz target for a moment, always with the same inputs; and the fuzzer itself, on parsers that are broken."""

from __future__ import annotations

import signal
import tracemalloc
from collections.abc import Hashable
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fuzz import __main__ as command
from tests.fuzz import fuzzer
from tests.fuzz.fuzzer import Fuzzer, shrink
from tests.fuzz.target import CORPUS, Target, walk, within_memory, within_time
from tests.fuzz.targets import TARGETS

# What only random inputs reach counts as not covered. Besides, the tracer would take half of the time, or more.
pytestmark = pytest.mark.no_cover

SEED = 6455


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_fuzz(target: Target, tmp_path: Path) -> None:
    """No input of the corpus, and none of those that are made from them, breaks what must hold."""
    fuzz = Fuzzer(target, SEED)
    failure = fuzz.run(inputs=target.inputs)
    if failure is not None:
        path = failure.save(target, tmp_path)
        raise AssertionError(f"python -m tests.fuzz {target.name} --replay {path}") from failure.error
    assert len(fuzz.kinds) > 20, "the mutations lead nowhere"


def test_every_corpus_is_fed_to_something() -> None:
    """A folder of inputs has a target of that name, and a target has inputs to begin with."""
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


class Broken(Target):
    """Cannot stand a byte of 0xff behind one of 0xfe, and does not know it."""

    name = "broken"
    words = (b"\xfe", b"\xff")

    def corpus(self) -> list[bytes]:
        return [b"a good input", b"another"]

    def check(self, data: bytes) -> Hashable:
        at = data.find(b"\xfe")
        if at >= 0 and b"\xff" in data[at:]:
            raise LookupError("what is this?")
        return at >= 0


def test_a_failure_is_found_again_and_made_short() -> None:
    """The same seed finds the same input, and what does not matter is left out of it."""
    failures = [Fuzzer(Broken(), 1).run(inputs=20_000) for _ in range(2)]
    assert failures[0] is not None
    assert failures[1] is not None
    assert failures[0].data == failures[1].data
    assert isinstance(failures[0].error, LookupError)
    assert shrink(failures[0], Broken()).data == b"\xfe\xff"


def test_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that needs too much time every time fails; one that was slow once does not."""
    # Twenty times what is allowed: however busy the machine is, that is too much.
    monkeypatch.setattr("tests.fuzz.target._STEPS", 20_000)
    monkeypatch.setattr("tests.fuzz.target._QUICK", (0.001, 0.0))
    runs: list[int] = []

    def slow() -> None:
        for _ in range(20):
            walk()
        runs.append(len(runs))

    with pytest.raises(AssertionError, match="steps of other work, 20300 are allowed"):
        within_time(slow)
    assert len(runs) == 5
    within_time(lambda: slow() if len(runs) < 6 else None)


class Endless(Broken):
    def check(self, data: bytes) -> Hashable:
        while data:
            pass
        return 0


@pytest.mark.skipif(not hasattr(signal, "SIGPROF"), reason="this system has no signal for CPU time")
def test_a_parser_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is interrupted, and is a failure like others."""
    monkeypatch.setattr(fuzzer, "_LONGEST", 0.05)
    failure = Fuzzer(Endless(), 1).run(inputs=1)
    assert failure is not None
    assert "has not ended" in str(failure.error)


def test_too_much_memory() -> None:
    """A parser that allocates what an input only announces fails."""
    within_memory(lambda: bytearray(100_000), size=10)
    with pytest.raises(AssertionError, match="bytes of memory for 10 bytes"):
        within_memory(lambda: bytearray(1_000_000), size=10)
    assert not tracemalloc.is_tracing()


def test_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command writes down what fails and says how to feed it again, which it then does."""
    monkeypatch.setitem(TARGETS, "frames", Broken())
    found = CliRunner().invoke(command.main, ["frames", "--seconds", "60", "--seed", "1", "--failures", str(tmp_path)])
    assert found.exit_code == 1
    assert "LookupError: what is this?" in found.output
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == b"\xfe\xff"
    assert found.output.endswith(f"python -m tests.fuzz frames --replay {path}\n")
    assert "LookupError" in CliRunner().invoke(command.main, ["frames", "--replay", str(path)]).output
    path.write_bytes(b"harmless")
    assert CliRunner().invoke(command.main, ["frames", "--replay", str(path)]).output == "passes\n"
