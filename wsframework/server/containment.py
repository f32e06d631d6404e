"""Contains what fails inside the server: one connection ends, is logged, and the others go on."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Protocol

logger: logging.Logger = logging.getLogger("wsframework.server")


class Abandonable(Protocol):
    """What can be let go of."""

    def abandon(self) -> None:
        """Let go of everything at once."""


def let_go(of: Abandonable) -> None:
    """Give up what has just raised, from inside the ``except`` that caught it, and log that. This raises nothing."""
    with suppress(Exception):  # it has failed already, so this may fail as well
        of.abandon()
    log_failure()


def log_failure() -> None:
    """Log the exception that is being handled. Nothing is raised, whatever somebody's log handler does."""
    with suppress(Exception):
        logger.exception("a connection failed inside the server; it was closed, the others go on")
