"""The command line: ``wsframework run module:app``."""

from .main import main as main
