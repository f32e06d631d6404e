"""The command line: ``python -m benchmarks.costs``."""

import platform
import time
from collections.abc import Callable

import click
import trio

from wsframework.server.watchdog import Watchdog

from .compressing import compression, short_messages
from .memory import compressors, queues, tls
from .parsing import access_lines, floods, frames, heads
from .tasks import deliveries, tasks
from .timing import Cost, Table

WATCHED_SECONDS = 5


def watchdog() -> Table:
    """The processor time that an idle server's watchdog takes, its thread and the loop's part together."""

    async def idle() -> None:
        with trio.move_on_after(WATCHED_SECONDS):
            async with trio.open_nursery() as nursery:
                await nursery.start(Watchdog().run)
                await trio.sleep_forever()

    started = time.process_time()
    trio.run(idle)
    used = time.process_time() - started
    return Table("The watchdog of an idle loop", [Cost("part of a core", 100 * used / WATCHED_SECONDS, "%")])


TABLES: dict[str, Callable[[], Table]] = {
    "tasks": tasks,
    "deliveries": deliveries,
    "frames": frames,
    "floods": floods,
    "heads": heads,
    "access-log": access_lines,
    "watchdog": watchdog,
    "compression": compression,
    "short-messages": short_messages,
    "queues": queues,
    "compressors": compressors,
    "tls": tls,
}


def print_table(table: Table, echo: Callable[[str], None]) -> None:
    """Print one table; the last column is how many times the first line it is."""
    echo(table.title)
    width = max(len(cost.name) for cost in table.costs)
    for cost in table.costs:
        ratio = table.ratio(cost)
        times = "" if ratio is None else f"{ratio:8.1f}x"
        digits = 2 if cost.value < 100 else 0
        echo(f"  {cost.name:<{width}} {cost.value:>10,.{digits}f} {cost.unit:<5}{times}".rstrip())
    echo("")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(TABLES)))
def main(names: tuple[str, ...]) -> None:
    """Measure what single parts cost, in processor time and in memory. Without NAMES: all of them."""
    click.echo(f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}\n")
    for name in names or TABLES:
        print_table(TABLES[name](), click.echo)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.costs")
