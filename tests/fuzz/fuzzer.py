"""A small mutation fuzzer: it takes inputs that are known, makes them worse, and keeps those that lead somewhere new.

It is guided by what a target says of an input, not by the lines that ran: for parsers with a few dozen outcomes that
is enough to walk through their states, it needs no instrumentation, and a seed gives the same inputs everywhere.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import attrs

from .target import Mutation, Target, within_memory

_LARGEST = 8 * 1024  # inputs that grow beyond this are cut: large ones are slow, and the corpus has what needs size
_LONGEST = 30  # seconds of CPU time after which an input is taken for one that never ends
_MEASURED = 64  # each of so many inputs, and each of a new kind, has its memory measured


@attrs.frozen
class Failure:
    """An input that made a target fail."""

    data: bytes
    error: Exception

    def save(self, target: Target, folder: Path) -> Path:
        """Write the input to a file that is named after its bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{target.name}-{crc32(self.data):08x}"
        path.write_bytes(self.data)
        return path


@attrs.define
class Fuzzer:
    """Feeds one target.

    Attributes:
        tried: inputs so far.
        kinds: the kinds of input that were seen, as the target tells them apart.
    """

    target: Target
    seed: int
    tried: int = 0
    kinds: set[Hashable] = attrs.Factory(set)
    _random: random.Random = attrs.field(init=False)
    _known: list[bytes] = attrs.field(init=False)
    _mutations: list[Mutation] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._known = self.target.corpus()
        words = self.target.words
        plain: list[Mutation] = [flip_bit, change_byte, insert_bytes, delete, repeat, truncate]
        if words:
            plain += [lambda chance, data: insert(chance, data, chance.choice(words))]
        # Half of the work goes to those that know the grammar: the others mostly make what is refused at once.
        grammar = list(self.target.mutations)
        self._mutations = plain + grammar * max(1, len(plain) // len(grammar)) if grammar else plain

    def run(self, *, inputs: int | None = None, seconds: float | None = None) -> Failure | None:
        """Feed the corpus, then so many inputs more, or for so long; stop at the first that fails."""
        for data in list(self._known):
            failure = self.feed(data, measured=True)
            if failure is not None:
                return failure
        last = None if inputs is None else self.tried + inputs
        end = None if seconds is None else time.monotonic() + seconds
        while (last is None or self.tried < last) and (end is None or time.monotonic() < end):
            failure = self.feed(self._worsen())
            if failure is not None:
                return failure
        return None

    def feed(self, data: bytes, *, measured: bool = False) -> Failure | None:
        """Check one input, and remember it if it is of a new kind."""
        self.tried += 1
        try:
            with must_end():
                self._feed(data, measured)
        except Exception as error:
            return Failure(data, error)
        return None

    def _feed(self, data: bytes, measured: bool) -> None:
        kind = self.target.check(data)
        if kind not in self.kinds:
            self.kinds.add(kind)
            self._known.append(data)
            measured = True
        if measured or self.tried % _MEASURED == 0:
            within_memory(lambda: self.target.measure(data), len(data))

    def _worsen(self) -> bytes:
        chance = self._random
        data = chance.choice(self._known)
        if chance.random() < 0.1:
            data = splice(chance, data, chance.choice(self._known))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
            data = chance.choice(self._mutations)(chance, data)
        return data[:_LARGEST]


@contextmanager
def must_end() -> Iterator[None]:
    """Raise in the block if it goes on for ever, where the system has signals: the main thread gets them."""
    if not hasattr(signal, "SIGPROF") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*args: object) -> None:
        raise AssertionError(f"has not ended after {_LONGEST} s of CPU time")

    before = signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, _LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def shrink(failure: Failure, target: Target, *, seconds: float = 20.0) -> Failure:
    """Leave out as much of an input as still gives the same type of error."""
    end = time.monotonic() + seconds
    size = len(failure.data) // 2
    while size:
        at = 0
        while at < len(failure.data) and time.monotonic() < end:
            shorter = Fuzzer(target, 0).feed(failure.data[:at] + failure.data[at + size :], measured=True)
            if shorter is not None and type(shorter.error) is type(failure.error):
                failure = shorter
            else:
                at += size
        size //= 2
    return failure


# Mutations that know no grammar


def _place(chance: random.Random, data: bytes) -> int:
    return chance.randrange(len(data) + 1)


def _change(chance: random.Random, data: bytes, change: Callable[[int], int]) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes((change(data[at]),)) + data[at + 1 :]


def flip_bit(chance: random.Random, data: bytes) -> bytes:
    return _change(chance, data, lambda byte: byte ^ 1 << chance.randrange(8))


def change_byte(chance: random.Random, data: bytes) -> bytes:
    return _change(chance, data, lambda byte: chance.choice((0, 0x7F, 0x80, 0xFF, chance.randrange(256))))


def insert(chance: random.Random, data: bytes, more: bytes) -> bytes:
    at = _place(chance, data)
    return data[:at] + more + data[at:]


def insert_bytes(chance: random.Random, data: bytes) -> bytes:
    return insert(chance, data, chance.randbytes(chance.randrange(1, 5)))


def delete(chance: random.Random, data: bytes) -> bytes:
    at = _place(chance, data)
    return data[:at] + data[at + chance.randrange(1, 9) :]


def repeat(chance: random.Random, data: bytes) -> bytes:
    begin, end = sorted((_place(chance, data), _place(chance, data)))
    return data[:end] + data[begin:end] * chance.choice((1, 1, 2, 20)) + data[end:]


def truncate(chance: random.Random, data: bytes) -> bytes:
    return data[: _place(chance, data)]


def splice(chance: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: _place(chance, data)] + other[_place(chance, other) :]
