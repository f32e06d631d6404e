"""Notices that the event loop does not run, and says who keeps it from running.

A handler that blocks, in `time.sleep`, in a database driver that is not async or in a long computation, stops the whole
server: nobody is answered, no ping, no new client. Nothing in the loop can tell of that while it lasts, so a thread
watches: it asks the loop for a sign of life, and when none comes for too long it reads the stack of the loop's thread.

What it costs: the thread wakes up four times in each ``patience``, and the loop with it. That is 0.1 % of a core for a
patience of one second (``python -m benchmarks.costs watchdog``), and nothing per message.

The times are real times, also under Trio's virtual clock: what blocks the loop blocks it in reality.
"""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
import threading
import time
from contextlib import suppress
from types import FrameType

import hypercorn
import starlette
import trio

logger: logging.Logger = logging.getLogger("wsframework.server")

# Precedents: Vert.x warns of a blocked event loop after 2 s; asyncio's debug mode after 0.1 s, and it is not meant to
# be left on. After 0.1 s a busy machine would warn of itself; after one second people notice.
PATIENCE = 1.0

_LOOKS = 4  # in each patience
_WORKED = 0.5  # part of a blocked time that this process must have computed if the watchdog could not run either

_SERVER = os.path.join(os.path.dirname(__file__), "")
_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
_TRIO = os.path.join(os.path.dirname(str(trio.__file__)), "")

# What stands between the loop and a handler, or what a handler calls. An application may be installed in site-packages
# as these are, and that may be a folder of the standard library's.
_MACHINERY = (_PACKAGE, _TRIO, *(os.path.join(os.path.dirname(str(m.__file__)), "") for m in (hypercorn, starlette)))
_STANDARD = os.path.join(sysconfig.get_path("stdlib"), "")
_INSTALLED = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("purelib", "platlib"))


class Watchdog:
    """Watches the event loop that `run` runs in.

    Args:
        patience: seconds that the loop may be blocked before there is a warning.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        if not patience > 0:
            raise ValueError(f"a watchdog needs a patience above 0 s, not {patience!r}; None is no watchdog")
        self._patience = patience
        self._stopped = threading.Event()
        self._alive = threading.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled. The thread has ended when this returns."""
        token = trio.lowlevel.current_trio_token()
        watched = threading.get_ident()
        thread = threading.Thread(target=self._watch, args=(token, watched), name="wsframework watchdog", daemon=True)
        thread.start()
        try:
            task_status.started()
            await trio.sleep_forever()
        finally:
            self._stopped.set()
            self._alive.set()
            thread.join()

    def _watch(self, token: trio.lowlevel.TrioToken, watched: int) -> None:
        with suppress(trio.RunFinishedError):
            while not self._stopped.wait(self._patience / _LOOKS):
                self._alive.clear()
                if self._stopped.is_set():  # said before that, and not to be waited for
                    return
                asked, worked = time.monotonic(), time.process_time()
                token.run_sync_soon(self._alive.set)
                if self._alive.wait(self._patience) or self._stopped.is_set():
                    continue
                seconds = time.monotonic() - asked
                # Were we late too? Then somebody held the interpreter's lock, or the whole process was suspended.
                if seconds > 2 * self._patience and time.process_time() - worked < _WORKED * seconds:
                    continue
                self._tell(watched, asked, seconds)

    def _tell(self, watched: int, asked: float, seconds: float) -> None:
        """Report an incident, and its end. The loop may run again at any moment."""
        culprit = find_culprit(sys._current_frames().get(watched))
        logger.warning(
            "the event loop has been blocked for %.1f s by %s; no client is served meanwhile. Let slow work run in a "
            "thread: `await trio.to_thread.run_sync(function, ...)`",
            seconds,
            culprit,
        )
        self._alive.wait()
        if not self._stopped.is_set():
            logger.info("the event loop runs again after %.1f s, blocked by %s", time.monotonic() - asked, culprit)


def find_culprit(frame: FrameType | None) -> str:
    """Say what an application does, from the innermost frame of the thread that runs the loop."""
    frames = _frames_of_task(frame)
    if not frames:
        return "something that has just ended"
    ours = [frame for frame in frames if _is_application(frame)]
    if not ours:
        return _describe(frames[0])
    # The outermost frame that the framework has called is the handler; what is around it is middleware.
    handler = ([frame for frame in ours if _is_called_by_framework(frame)] or ours)[-1]
    return _describe(handler) if handler is ours[0] else f"{_describe(handler)}, now in {_describe(ours[0])}"


def _frames_of_task(frame: FrameType | None) -> list[FrameType]:
    """Return the frames of the task that runs, the innermost first. None if the loop waits, or is between two tasks."""
    frames: list[FrameType] = []
    while frame is not None:
        code = frame.f_code
        if code.co_name == "unrolled_run" and code.co_filename.startswith(_TRIO):
            return frames
        frames.append(frame)
        frame = frame.f_back
    return []


def _is_application(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    if path.startswith(("<", *_MACHINERY)):
        return False
    return path.startswith(_INSTALLED) or not path.startswith(_STANDARD)


def _is_called_by_framework(frame: FrameType) -> bool:
    """It was called by our code above the server, which is what calls hooks and endpoints."""
    caller = frame.f_back.f_code.co_filename if frame.f_back is not None else ""
    return caller.startswith(_PACKAGE) and not caller.startswith(_SERVER)


def _describe(frame: FrameType) -> str:
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
