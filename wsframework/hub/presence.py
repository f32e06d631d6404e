"""Presence in one topic: who is here, and who is told of it.

A person is present as long as one of its connections subscribes with ``presence=``, and for a grace period after the
last one has broken, so that a reconnect is no leave and join. Changes are published to a topic beside the one that they
are about. So they have one order for everybody who watches, and what the topic remembers is not full of them. A watcher
that misses some of them is sent the whole list anew, in their place.
"""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_hex
from typing import Any, Literal

import attrs
import trio

from ..encoding import encode_json, to_message
from .agenda import Agenda
from .envelope import Envelope
from .member import Member, PresenceEvent
from .place import Place
from .position import Gap
from .publication import Payload, Publication
from .pump import Pump
from .receipt import Receipt
from .statistics import Counters
from .subscriber import Subscriber
from .topic import Topic


class _Change(Publication):
    """An event on its way to those who watch."""

    __slots__ = ("event",)

    def __init__(self, event: PresenceEvent) -> None:
        super().__init__(to_message(event.standard()), Receipt(lambda: None))
        self.event = event
        self.key = self  # where keys are conflated, no event takes the place of another

    def wrap(self, envelope: Envelope, place: Place) -> Payload:
        return Payload(to_message(envelope.presence(self.event)))


@attrs.define(eq=False)
class _Person:
    identity: str
    data: Any
    encoded: bytes
    connections: dict[Place, None] = attrs.Factory(dict)
    left_at: float = 0.0

    def member(self) -> Member:
        return Member(self.identity, self.data, len(self.connections))


class Presence:
    """Who is present in one topic.

    Args:
        topic: its name.
        grace: seconds that a person has to come back.
        agenda: where that is noted.
        pump: delivers the events.
        counters: the topic's.
        on_empty: called when the last person has gone.
    """

    def __init__(
        self, topic: str, grace: float, agenda: Agenda, pump: Pump, counters: Counters, on_empty: Callable[[], None]
    ) -> None:
        self._topic = topic
        self._grace = grace
        self._agenda = agenda
        self._pump = pump
        self._on_empty = on_empty
        self._persons: dict[str, _Person] = {}
        self._by_place: dict[Place, _Person] = {}
        self._events = Topic(topic, counters)  # in no list of topics: nobody publishes to it but we

    def __bool__(self) -> bool:
        return bool(self._persons)

    def members(self) -> list[Member]:
        """Return who is here, in the order in which they came."""
        return [person.member() for person in self._persons.values()]

    def said_of(self, place: Place) -> Any:
        """Return what is said of this subscriber's person, or None if it is not here."""
        person = self._by_place.get(place)
        return None if person is None else person.data

    def join(self, place: Place, data: Any) -> None:
        """Somebody is here, or has something else said of it now. Raises ``TypeError`` for what cannot be JSON."""
        encoded = encode_json(data)
        person = self._by_place.get(place)
        identity = place.subscriber.identity or token_hex(8)
        if person is None:
            person = self._persons.get(identity)
        is_new = person is None
        if person is None:
            person = self._persons[identity] = _Person(identity, data, encoded)
        changed = person.encoded != encoded  # not the data: it may be the same object, changed in place
        person.data, person.encoded = data, encoded
        person.connections[place] = None
        self._by_place[place] = person
        if is_new or changed:
            self._tell("join" if is_new else "update", person)

    def leave(self, place: Place, *, at_once: bool = False) -> None:
        """A connection is not here any more. Its person may come back for a while, unless it has left at once."""
        person = self._by_place.pop(place, None)
        if person is None:
            return
        del person.connections[place]
        if at_once or not self._agenda.open:
            self._let_go(person)
        else:
            person.left_at = trio.current_time()
            self._agenda.at(person.left_at + self._grace, lambda: self._look_again(person))

    def watch(self, subscriber: Subscriber, envelope: Envelope | None) -> None:
        """Send this client who is here, and from now on every event."""

        def everybody(gap: Gap) -> Any:
            event = PresenceEvent(self._topic, "here", self.members())
            return event.standard() if envelope is None else envelope.presence(event)

        place = Place(self._events, subscriber, subscriber.shared_lane, everybody, envelope)
        subscriber.watching[self._topic] = place
        self._events.go_live(place)
        subscriber.take(place, [_Change(PresenceEvent(self._topic, "here", self.members()))])

    def clear(self) -> None:
        """The hub stops: nobody who has left comes back."""
        for person in list(self._persons.values()):
            self._let_go(person)

    def _look_again(self, person: _Person) -> None:
        if trio.current_time() >= person.left_at + self._grace:  # or it was here in between
            self._let_go(person)

    def _let_go(self, person: _Person) -> None:
        if person.connections or self._persons.get(person.identity) is not person:
            return
        del self._persons[person.identity]
        self._tell("leave", person)
        if not self._persons:
            self._on_empty()

    def _tell(self, event: Literal["join", "update", "leave"], person: _Person) -> None:
        if self._events.places:
            self._pump.publish(self._events, _Change(PresenceEvent(self._topic, event, [person.member()])))
