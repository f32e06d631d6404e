"""What the command says on standard output, which whoever reads it may have closed."""

from __future__ import annotations

import os
import sys

import click


def say(line: str) -> None:
    """Print a line. When nobody can read it, this and all that follows is thrown away: to serve is what counts."""
    try:
        click.echo(line)
    except OSError:
        _silence()


def _silence() -> None:
    """Lead standard output to nowhere, or every line of the access log that follows would be an error of its own."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
