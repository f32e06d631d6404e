"""What an application may say about compression: `Deflate`, on or off, for all of it or for one route.

It is off unless somebody asks for it. Compression costs memory and processor time, and a message that mixes a secret
with what an attacker chooses gives the secret away by its compressed size (the CRIME and BREACH attacks).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

# Where an App or a route leaves its choice, in the scope; the server finds it in the event that accepts.
COMPRESSION = "wsframework.compression"


@attrs.frozen(kw_only=True)
class Deflate:
    """permessage-deflate (RFC 7692), for clients that offer it.

    Precedents for the defaults: level 6 is zlib's own; a window of 12 bits and memory level 5 are those of the
    `websockets` library, which measured that more costs four times the memory for a few per cent; messages below
    1 KiB are sent as they are, as by ws for Node.js.
    """

    level: int = 6
    """From 1, the fastest, to 9, the smallest."""
    window_bits: int = 12
    """How far back a repetition is found, as a power of two, from 9 to 15. The client may ask for less."""
    memory_level: int = 5
    """Memory of a compressor while it works, from 1 to 9: 16 KiB for 5, twice that for each one more. Its window takes
    four times its size besides."""
    context_takeover: bool = False
    """Let a message refer back to those before it, which makes small messages that are alike several times smaller. It
    costs every connection a compressor and two windows for good, where otherwise nothing is kept between messages.
    Broadcasts refer to nothing in any case, so that all clients can share them."""
    threshold: int = 1024
    """Messages with fewer bytes are sent as they are."""

    def __attrs_post_init__(self) -> None:
        for name, least, most in (("level", 1, 9), ("window_bits", 9, 15), ("memory_level", 1, 9)):
            value = getattr(self, name)
            if not _is_integer(value) or not least <= value <= most:
                raise ValueError(f"Deflate({name}={value!r}): it is an integer from {least} to {most}")
        if not _is_integer(self.threshold) or self.threshold < 0:
            raise ValueError(f"Deflate(threshold={self.threshold!r}): it is a number of bytes, 0 or more")
        if not isinstance(self.context_takeover, bool):
            raise ValueError(f"Deflate(context_takeover={self.context_takeover!r}): it is True or False")


Compression: TypeAlias = Deflate | Literal["deflate", "off"] | None
"""What an argument named ``compression`` takes. None leaves it to the level above: app, then server, then off."""


def choose(*choices: Compression) -> Deflate | None:
    """Return what the first of these that says anything says; None is off.

    Raises:
        TypeError: one is no such argument.
    """
    for choice in map(check_compression, choices):
        if choice is not None:
            return choice if isinstance(choice, Deflate) else None
    return None


def check_compression(choice: Compression) -> Deflate | Literal["off"] | None:
    """Spell the argument out.

    Raises:
        TypeError: it is none.
    """
    if choice is None or isinstance(choice, Deflate):
        return choice
    if choice == "deflate":
        return Deflate()
    if choice == "off":
        return "off"
    raise TypeError(f'compression is "deflate", Deflate(...) with options, "off", or None to inherit, not {choice!r}')


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
