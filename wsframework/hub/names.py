"""What a topic may be called."""

from __future__ import annotations

LONGEST_NAME = 255
"""Bytes of a topic's name as UTF-8: what Centrifugo allows, and what fits into one component of a file's path."""


def check_topic(name: object) -> None:
    """Check that this can be the name of a topic.

    Raises:
        TypeError: it is no string, or an empty one.
        ValueError: it is too long, has control characters, or cannot be UTF-8.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"a topic is named by a string that is not empty, not {name!r}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"a topic's name must be UTF-8, which cannot hold lone surrogates: {name[:80]!r}") from None
    if size > LONGEST_NAME:
        raise ValueError(f"a topic's name has at most {LONGEST_NAME} bytes, not {size}: {name[:80]!r}...")
    if not name.isprintable() and any(character < " " or "\x7f" <= character < "\xa0" for character in name):
        raise ValueError(f"a topic's name has no control characters: {name[:80]!r}")
