"""Catching up: a subscriber is given what it missed, at its own pace, until it is level with its topic.

A subscriber that catches up does not take part in its topic yet. It reads what the topic remembers, from its own place
on, a write at a time, and waits while its client is behind; others go on publishing meanwhile. When nothing is left to
read it goes live, without a checkpoint in between. So nothing is missing and nothing comes twice. Should the topic not
remember the place, or forget faster than the client takes, then that is told, and the subscription is not
``recovered``.
"""

from __future__ import annotations

from trio.lowlevel import checkpoint, checkpoint_if_cancelled

from ..transport import Transport
from .place import Place
from .position import Gap, Position
from .publication import Payload, Publication, join, split_write
from .subscriber import Subscriber

# Publications that are read from the memory of a topic at once: enough to fill a write with short ones.
_AT_ONCE = 256


class Replay:
    """What one subscriber is given before it goes live.

    Args:
        place: the subscriber's, in the topic.
        since: the last publication that it has.
        latest: if not all after ``since`` is there, begin with the newest of each key.

    Attributes:
        place: that one.
        followers: tasks that wait for its end. Each of them makes it go on.
    """

    def __init__(self, place: Place, since: Position | None, latest: bool) -> None:
        self.place: Place = place
        self.followers: int = 0
        self._topic = place.topic
        self._since = since
        self._latest = latest
        self._backlog: list[Publication] = []
        self._following: int | None = None  # the number behind what was read; None before the beginning

    async def run(self) -> None:
        """Give it everything, and have it go live.

        Raises:
            WebSocketDisconnect: the client has left.

        If it is cancelled: what was offered so far stays offered, and the subscriber is not live.
        """
        await checkpoint()
        while self.goes_on:
            await _wait_until_taken(self.place.subscriber)
            if self.goes_on:
                self.step()
            if self.goes_on:
                await checkpoint()
        if not self.place.live:  # somebody has ended it: its client, by leaving, or the program
            _raise_if_gone(self.place.subscriber)

    @property
    def goes_on(self) -> bool:
        """It is not live yet, and nobody has ended it."""
        return self.place.joining

    def step(self) -> None:
        """Give it what makes one write, or have it go live. It must have taken everything else. Nothing here waits."""
        subscriber = self.place.subscriber
        payloads = self._read()
        if payloads and not subscriber.transport.offer(join(payloads, subscriber.transport.wire_format), len(payloads)):
            subscriber.fall_behind([])
        if not self._backlog and self._following == self._topic.end:
            self._topic.go_live(self.place)

    def _read(self) -> list[Payload]:
        """Read what makes the next write."""
        place, topic = self.place, self._topic
        payloads = self._begin() if self._following is None else []
        assert self._following is not None
        if not self._backlog and self._following < topic.end:
            if topic.memory is not None and topic.memory_first <= self._following:
                publications = topic.memory.read(self._following, _AT_ONCE)
                self._following += len(publications)
                self._backlog = [publication for publication in publications if place.concerns(publication)]
            else:  # it forgets faster than this client takes
                place.recovered = False
                payloads += self._tell(Gap(topic.end - self._following, Position(topic.epoch, self._following - 1)))
                self._following = topic.end
        now, self._backlog = split_write(self._backlog)
        return payloads + [publication.wrapped(place) for publication in now]

    def _begin(self) -> list[Payload]:
        """Find where to begin, and tell what is missing before that."""
        place, topic, since = self.place, self._topic, self._since
        payloads = []
        self._following = topic.end
        if since is not None:
            place.recovered = topic.remembers(since)
            if place.recovered:
                self._following = since.offset + 1
            else:
                payloads = self._tell(Gap(None, since))
        if self._latest and not place.recovered and topic.memory is not None:
            self._backlog = topic.memory.newest(place.concerns)
        return payloads

    def _tell(self, gap: Gap) -> list[Payload]:
        told = self.place.say(gap)
        return [] if told is None else [told]


async def _wait_until_taken(subscriber: Subscriber) -> None:
    transport = subscriber.transport
    assert isinstance(transport, Transport)  # a listener makes its own steps
    await checkpoint_if_cancelled()
    while subscriber.behind and transport.close_code is None:
        await transport.wait_taken()
        await checkpoint()
    _raise_if_gone(subscriber)


def _raise_if_gone(subscriber: Subscriber) -> None:
    transport = subscriber.transport
    assert isinstance(transport, Transport)
    if transport.close_code is not None:
        raise transport.disconnect()
