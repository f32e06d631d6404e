"""Every parser that is fuzzed, by the name that the command line and the corpus have for it."""

from __future__ import annotations

from .deflate import DeflatedStream, ExtensionOffers
from .frames import FrameStream
from .head import RequestHead
from .target import Target

TARGETS: dict[str, Target] = {
    target.name: target for target in (RequestHead(), ExtensionOffers(), FrameStream(), DeflatedStream())
}
