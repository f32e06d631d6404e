"""The socket's end of a connection, as the connection sees it: bytes out without waiting, and a few switches."""

from __future__ import annotations

from typing import Protocol

# One read takes at most this much; it bounds how far an inbox overshoots.
RECEIVE_SIZE = 64 * 1024

# What a wire without a socket buffer of its own takes at a time, and no more than what counts as progress.
SEND_SIZE = 64 * 1024


class Receiver(Protocol):
    """What a wire calls. Nothing here waits."""

    def received(self, data: bytes) -> None:
        """These bytes have come; none means that the other side has ended, or is gone."""

    def writable(self) -> None:
        """There is room again, as `Wire.ask_to_write` asked to be told."""

    def hung_up(self) -> None:
        """The other side is gone, while the wire was asked to hold and could not find out by reading."""

    def abandon(self) -> None:
        """Let go of the wire: something failed that must not."""


class Wire(Protocol):
    """Carries bytes for one connection, and calls its `Receiver`. Nothing here waits."""

    def send(self, data: bytes | memoryview) -> int:
        """Hand over the beginning of ``data``; return how many bytes were taken, 0 when there is no room.

        Raises:
            OSError: the other side is gone.
        """

    def ask_to_write(self) -> None:
        """Have ``writable()`` called once there is room again."""

    def hold(self) -> None:
        """Read no more until `resume`."""

    def resume(self) -> None:
        """Read on."""

    def shut_down(self) -> None:
        """Nothing more will be sent and nothing more is expected, only that the other side goes."""

    def close(self) -> None:
        """Let go of the socket at once, whatever is still on its way."""


class StartableWire(Wire, Protocol):
    """A wire that one receiver can leave to the next: whoever reads the request head to whoever serves it."""

    def start(self, receiver: Receiver) -> None:
        """Receive for this one from now on."""

    @property
    def behind(self) -> bool:
        """Some of what it took has not been taken by the system yet."""
