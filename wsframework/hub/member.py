"""Who is present in a topic, and what changes there."""

from __future__ import annotations

from typing import Any, Literal

import attrs


@attrs.frozen
class Member:
    """A person who is present in a topic, with any number of connections.

    Attributes:
        identity: who it is. A connection without an identity is a person of its own, with a random one.
        data: what was last said of this person.
        connections: how many there are; none while a person that has just gone may still come back.
    """

    identity: str
    data: Any
    connections: int = 1


@attrs.frozen
class PresenceEvent:
    """A change in who is present.

    Attributes:
        topic: where.
        event: ``"here"`` with everybody, for one who begins to watch or has missed something; ``"join"``, ``"update"``
            when what is said of somebody has changed, or ``"leave"``.
        members: those whom it concerns.
    """

    topic: str
    event: Literal["here", "join", "update", "leave"]
    members: list[Member]

    def standard(self) -> dict[str, Any]:
        """Return the JSON object that clients get, unless an envelope makes another."""
        members = [{"identity": member.identity, "data": member.data} for member in self.members]
        return {"topic": self.topic, "presence": self.event, "members": members}
