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

_SECONDS = 0.05  # CPU time that one run may take, and for each piece that it is fed in:
_SECONDS_PER_PIECE = 20e-6
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

    Another program on the same core costs no CPU time of ours, but a collection of garbage or a cold cache does: so
    the least of three runs counts.
    """
    allowed = _SECONDS + pieces * _SECONDS_PER_PIECE
    spent = []
    for _ in range(3):
        begin = time.thread_time()
        result = run()
        spent.append(time.thread_time() - begin)
        if spent[-1] <= allowed:
            return result
    raise AssertionError(f"took {min(spent) * 1000:.0f} ms of CPU time, {allowed * 1000:.0f} are allowed")


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
