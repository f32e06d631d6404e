"""The command line of every server here: one port."""

import sys


def port() -> int:
    """Return the port that the command line asks for."""
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        sys.exit("usage: python -m benchmarks.peers.NAME PORT")
    return int(sys.argv[1])
