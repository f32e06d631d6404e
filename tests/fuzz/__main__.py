"""Fuzzing by hand: ``python -m tests.fuzz frames --seconds 600``.

It begins with the target's corpus and goes on until the time is over or an input fails. That input is made as short as
it can be, written to a file, and ``python -m tests.fuzz frames --replay FILE`` feeds it again. When the parser is
mended, move the file into ``tests/fuzz/corpus/frames``, under a name that says what it was, and it stays tested.
"""

from __future__ import annotations

import random
import sys
import time
import traceback
from pathlib import Path

import click

from .fuzzer import Failure, Fuzzer, shrink
from .targets import TARGETS

_REPORT_EVERY = 10.0  # seconds


@click.command(help=__doc__)
@click.argument("target", type=click.Choice(sorted(TARGETS)))
@click.option("--seconds", default=60.0, show_default=True, help="How long to go on.")
@click.option("--seed", type=int, help="Repeat the inputs of an earlier run; any number that it printed.")
@click.option("--replay", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Feed this file only.")
@click.option(
    "--failures",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("fuzz-failures"),
    show_default=True,
    help="The folder for inputs that fail.",
)
def main(target: str, seconds: float, seed: int | None, replay: Path | None, failures: Path) -> None:
    chosen = TARGETS[target]
    if replay is not None:
        failure = Fuzzer(chosen, 0).feed(replay.read_bytes(), measured=True)
        if failure is None:
            print("passes")
            return
        _show(failure)
        sys.exit(1)
    seed = random.randrange(1 << 32) if seed is None else seed
    print(f"{target}, seed {seed}")
    failure = _run(Fuzzer(chosen, seed), seconds)
    if failure is not None:
        failure = shrink(failure, chosen)
        _show(failure)
        print(f"\npython -m tests.fuzz {target} --replay {failure.save(chosen, failures)}")
        sys.exit(1)


def _run(fuzzer: Fuzzer, seconds: float) -> Failure | None:
    begin = time.monotonic()
    failure = None
    while failure is None and (left := begin + seconds - time.monotonic()) > 0:
        failure = fuzzer.run(seconds=min(left, _REPORT_EVERY))
        passed = time.monotonic() - begin
        print(f"{passed:5.0f} s  {fuzzer.tried} inputs, {len(fuzzer.kinds)} kinds", flush=True)
    return failure


def _show(failure: Failure) -> None:
    traceback.print_exception(failure.error, file=sys.stdout)
    print(f"\n{len(failure.data)} bytes: {failure.data!r}")


if __name__ == "__main__":
    main()
