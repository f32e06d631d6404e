"""What can be fuzzed: a parser, what must hold for it whatever it is fed, and how its inputs are made worse."""

from __future__ import annotations

import random
import time
import tracemalloc
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar
from zlib import crc32

T = TypeVar("T")
Mutation = Callable[[random.Random, bytes], bytes]

CORPUS = Path(__file__).parent / "corpus"

_STEPS = 1_000_000  # of `walk`, as long as which one run may take, and for each piece that it is fed in:
_STEPS_PER_PIECE = 300
_WALK = 20_000  # steps that are timed beside a run
_QUICK = 0.01, 5e-6  # seconds, and for each piece, that are too few to time anything beside them
_MEMORY = 256 * 1024  # bytes that one run may have at a time, and for each byte that it is fed:
_MEMORY_PER_BYTE = 64  # an empty ping of six bytes becomes an event of about a hundred and fifty


class Target(ABC):
    """A parser under test.

    Attributes:
        name: of its folder in the corpus, and on the command line.
        mutations: what knows its grammar; the fuzzer has others that know none.
        words: bytes that mean something to it.
        inputs: how many the tests feed, which is a matter of a few seconds.
    """

    name: str
    mutations: Sequence[Mutation] = ()
    words: Sequence[bytes] = ()
    inputs = 500

    @abstractmethod
    def check(self, data: bytes) -> Hashable:
        """Feed the parser, and fail with any exception if it does what it must not.

        Returns:
            What kind of input that was. The fuzzer goes on from inputs of a kind that it has not seen.
        """

    def measure(self, data: bytes) -> None:
        """Feed the parser once, whole, where its memory is measured."""
        self.check(data)

    def corpus(self) -> list[bytes]:
        """The inputs to begin with, in the order of their names."""
        return [path.read_bytes() for path in sorted((CORPUS / self.name).iterdir())]


def within_time(run: Callable[[], T], pieces: int = 1) -> T:
    """Run a parser and fail if it takes more CPU time than it may.

    It is timed in steps of some other work that is done right after it, for what slows down one slows down the other: a
    slow machine, or a neighbour on the same core. A collection of garbage does not: so the least of five runs counts.
    """
    allowed = _STEPS + pieces * _STEPS_PER_PIECE
    taken = []
    for _ in range(5):
        spent, result = timed(run)
        if spent <= _QUICK[0] + pieces * _QUICK[1]:
            return result
        taken.append(spent / timed(walk)[0] * _WALK)
        if taken[-1] <= allowed:
            return result
    raise AssertionError(f"took as long as {min(taken):.0f} steps of other work, {allowed} are allowed")


def timed(run: Callable[[], T]) -> tuple[float, T]:
    """The CPU time of this thread that it takes, in seconds, and what it returns."""
    begin = time.thread_time()
    result = run()
    return time.thread_time() - begin, result


def walk() -> None:
    """Do what parsers do: cut pieces out of bytes, and keep them."""
    data, kept = bytes(256), {}
    for number in range(_WALK):
        kept[number & 7] = data[number & 255 :: 64]


def within_memory(run: Callable[[], object], size: int) -> None:
    """Run a parser on so many bytes and fail if it has more memory at a time than it may."""
    allowed = _MEMORY + size * _MEMORY_PER_BYTE
    tracemalloc.start()
    try:
        run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= allowed, f"took {peak} bytes of memory for {size} bytes, {allowed} are allowed"


def cuttings(data: bytes, *more: Sequence[int]) -> list[list[bytes]]:
    """The same bytes whole, byte by byte, in a few pieces cut anywhere, and cut at ``more`` places."""
    # Chosen by the bytes alone, so that an input that fails once fails always.
    anywhere = random.Random(crc32(data))
    places = [sorted(anywhere.randrange(len(data) + 1) for _ in range(count)) for count in (1, 4)]
    single = [data[at : at + 1] for at in range(len(data))]
    return [[data], single, *(cut(data, at) for at in (*places, *more))]


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The pieces between these places, the empty ones left out."""
    return [data[begin:end] for begin, end in pairwise([0, *places, len(data)]) if begin < end]
