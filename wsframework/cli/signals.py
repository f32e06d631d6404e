"""What SIGINT and SIGTERM do to ``wsframework run``: the first one stops it, the second stops it at once."""

from __future__ import annotations

import signal
from collections.abc import Callable

import trio

from ..close import CloseCode
from .output import say

# SIGTERM is how a service manager stops a service, nearly always to start the next version of it: clients may come
# back. Ctrl+C is a person, who is done.
CODES: dict[int, CloseCode] = {signal.SIGTERM: CloseCode.SERVICE_RESTART, signal.SIGINT: CloseCode.GOING_AWAY}

Stop = Callable[[CloseCode], None]

# A terminal and a program between it and us, such as timeout(1), may both pass on one Ctrl+C.
_ONE_WISH = 0.25  # seconds


async def obey_signals(
    stop: Stop, force: Callable[[], None], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Call ``stop`` with a close code for the first signal, and ``force`` for the second.

    The third ends the process at once, as the system has it. Cancelling gives the signals back.
    """
    with trio.open_signal_receiver(*CODES) as signals:
        task_status.started()
        number = await anext(signals)
        say("stopping")
        stop(CODES[number])
        again = trio.current_time() + _ONE_WISH
        await anext(signals)
        while trio.current_time() < again:
            await anext(signals)
        say("stopping at once")
        force()
    for each in CODES:
        signal.signal(each, signal.SIG_DFL)
