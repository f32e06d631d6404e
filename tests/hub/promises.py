"""What the clients of the state machine are promised, and what they get of that.

Each subscription has its part of the log of its topic: from when subscribe returned until unsubscribe was called, and
what lies between a call and its return may come or not. Whatever a client receives is held against that.
"""

from __future__ import annotations

import attrs

from tests.hub.fakes import CountingFormat, FakeClient
from wsframework import Gap


@attrs.define(eq=False)
class Published:
    """A publication, as the model knows it."""

    key: str
    excluded: Actor | None


@attrs.define(eq=False)
class Log:
    """Everything that was published to a topic, numbered from 1."""

    name: str
    publications: list[Published] = attrs.Factory(list)

    @property
    def end(self) -> int:
        """The number of the last one."""
        return len(self.publications)


@attrs.define(eq=False)
class Seat:
    """One subscription, and how far its client is in the stream of the topic.

    Attributes:
        called: the end of the log when subscribe was called; ``returned`` when it returned.
        left: the end of the log when unsubscribe was called; ``gone`` when it returned.
        since: the number that it was to resume behind.
        next: the number behind the last that came or was told to be missing; None before the first.
        floor: nothing up to here may come any more: a direct message has come that was sent later.
        newest: the last that came, by key.
    """

    actor: Actor
    log: Log
    policy: str
    called: int
    since: int | None = None
    returned: int | None = None
    left: int | None = None
    gone: int | None = None
    next: int | None = None
    last: int = 0
    floor: int = 0
    lost_its_place: bool = False
    was_outrun: bool = False
    newest: dict[str, int] = attrs.Factory(dict)

    @property
    def live(self) -> bool:
        return self.returned is not None and self.left is None

    def first_after(self, number: int, until: int | None = None) -> int | None:
        """The first behind this number that is for this client, perhaps only up to another number."""
        end = self.log.end if until is None else until
        for each in range(number + 1, end + 1):
            if self.log.publications[each - 1].excluded is not self.actor:
                return each
        return None

    def tell(self, gap: Gap) -> str:
        """The seat's on_gap."""
        when = "before" if self.returned is None else "after"
        return f"gap {self.log.name} {gap.count} {gap.since.offset} {when}"

    def take(self, number: int) -> None:
        """A publication has come."""
        assert 0 < number <= self.log.end
        publication = self.log.publications[number - 1]
        assert publication.excluded is not self.actor, "it came although it was not for this client"
        assert self.gone is None or number <= self.gone, "it was published after unsubscribe had returned"
        assert number > self.floor, "a direct message has overtaken it"
        if self.policy == "LATEST":
            assert number > self.called, "it was published before subscribe was called"
            assert number > self.newest.get(publication.key, 0), "it came after a newer one of its key, or twice"
        elif self.next is None:
            assert number > self.called, "it was published before subscribe was called"
            if self.returned is not None:
                assert self.first_after(self.returned, number - 1) is None, "something is missing at the beginning"
        else:
            assert number == self.first_after(self.next - 1), "something is missing, or came twice"
        self.newest[publication.key] = self.last = number
        self.next = number + 1

    def miss(self, count: int, since: int, when: str) -> None:
        """A gap was told."""
        if self.next is None:
            assert since >= self.called
            if self.returned is not None:
                assert self.first_after(self.returned, since) is None, "the gap stands too late"
        else:
            assert since >= self.next - 1, "the gap stands too early"
            assert self.first_after(self.next - 1, since) is None, "the gap stands too late"
        if when == "before":  # the topic has forgotten them, and for whom they were
            assert self.since is not None
            self.was_outrun = True
            self.next = since + count + 1
            assert self.next <= self.log.end + 1
            return
        assert self.policy.startswith("DROP"), "this policy drops nothing"
        for _ in range(count):
            missing = self.first_after(since)
            assert missing is not None, "more are told to be missing than were published"
            since = missing
        self.next = since + 1

    def lose_place(self) -> None:
        """It was told that what was missed cannot be had."""
        assert self.since is not None
        assert self.last == 0, "a part came before it was told that the rest is missing"
        assert self.returned is None
        self.lost_its_place = True
        self.next = None

    def direct(self, mark: int) -> None:
        """A direct message has come that was sent when the log ended with this."""
        assert self.returned is not None
        self.floor = mark
        if self.policy == "LATEST":
            return
        assert self.last <= mark, "a later publication has overtaken a direct message"
        if not self.policy.startswith("DROP"):
            seen = self.returned if self.next is None else self.next - 1
            assert self.first_after(seen, mark) is None, "a direct message has overtaken a publication"

    def finish(self) -> None:
        """Nothing more comes."""
        if self.returned is None:
            return
        end = self.log.end if self.left is None else self.left
        if self.policy == "LATEST":
            wanted = {
                publication.key: number
                for number, publication in enumerate(self.log.publications[:end], 1)
                if number > self.returned and publication.excluded is not self.actor
            }
            assert all(self.newest.get(key, 0) >= number for key, number in wanted.items()), "the newest is missing"
        else:
            seen = self.returned if self.next is None else self.next - 1
            assert self.first_after(seen, end) is None, "something is missing at the end"


class Actor(FakeClient):
    """A client, what it has been promised, and what it got of that."""

    def __init__(self, wire_format: CountingFormat) -> None:
        super().__init__(wire_format)
        self.seats: dict[str, Seat] = {}
        self._marks: list[list[tuple[Seat, int]]] = []  # of direct messages: what was published before them
        self._checked = 0

    def send_directly(self) -> None:
        """Send what no policy may drop, as a transport does."""
        caught_up = self.mailbox is None or self.mailbox.catch_up()
        if self.close_code is not None:
            return
        if caught_up:
            self.offer([f"direct {len(self._marks)}"])
        elif self.mailbox is None or self.mailbox.line_up([f"direct {len(self._marks)}"]) is None:
            return  # too many are in line
        self._marks.append([(seat, seat.log.end) for seat in self.seats.values() if seat.live])

    def check(self) -> None:
        """Hold what has come against what should."""
        for write in self.writes:
            for message in write:
                kind, *rest = str(message).split()
                if kind == "direct":
                    assert int(rest[0]) == self._checked
                    self._checked += 1
                    # One that was sent in this very moment, by a client that keeps up, is noted just after this.
                    for seat, mark in self._marks[int(rest[0])]:
                        seat.direct(mark)
                elif kind == "gap" and rest[1] == "None":
                    self.seats[rest[0]].lose_place()
                elif kind == "gap":
                    self.seats[rest[0]].miss(int(rest[1]), int(rest[2]), rest[3])
                else:
                    self.seats[kind].take(int(rest[0]))
        self.writes.clear()
