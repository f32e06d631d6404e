"""Where ``wsframework run`` writes what is logged: access lines to standard output, all else to standard error."""

from __future__ import annotations

import logging
import sys

from ..access_log import JSONFormatter
from ..access_log import logger as access_logger
from .settings import Settings


def set_up_logging(settings: Settings) -> None:
    """Configure `logging`, as the command line says. With several workers every line has the process id."""
    pid = " %(process)d" if settings.workers is not None and settings.workers > 1 else ""
    logging.basicConfig(
        level=settings.log_level.upper(), format=f"%(asctime)s{pid} %(levelname)s %(name)s: %(message)s"
    )
    access_logger.propagate = False
    if settings.access_log == "off":
        access_logger.disabled = True
        return
    handler = logging.StreamHandler(sys.stdout)
    if settings.access_log == "json":
        handler.setFormatter(JSONFormatter())
        sys.stdout = sys.stderr  # a program that reads JSON must not meet what we, or the application, print
    else:
        handler.setFormatter(logging.Formatter(f"%(asctime)s{pid} %(message)s"))
    access_logger.addHandler(handler)
