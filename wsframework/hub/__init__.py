"""Publishing to many clients, none of which can hold up another."""

from .envelope import Envelope as Envelope
from .envelope import StandardEnvelope as StandardEnvelope
from .history import History as History
from .hub import Hub as Hub
from .listener import Publications as Publications
from .member import Member as Member
from .member import PresenceEvent as PresenceEvent
from .overflow import Overflow as Overflow
from .position import Gap as Gap
from .position import Position as Position
from .publication import Published as Published
from .receipt import Receipt as Receipt
from .statistics import HubStatistics as HubStatistics
from .statistics import TopicStatistics as TopicStatistics
from .subscription import Lag as Lag
from .subscription import Subscription as Subscription
