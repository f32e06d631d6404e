"""WebSocket services on Trio: endpoints, a hub to broadcast through, and the server they run on."""

import logging as _logging

from ._version import __version__ as __version__
from .app import App as App
from .close import CloseCode as CloseCode
from .compression import Deflate as Deflate
from .dependencies import Cookie as Cookie
from .dependencies import Depends as Depends
from .dependencies import Header as Header
from .dependencies import Path as Path
from .dependencies import Query as Query
from .dependencies import Security as Security
from .dependencies import SecurityScopes as SecurityScopes
from .endpoint import WebSocketEndpoint as WebSocketEndpoint
from .errors import ClientError as ClientError
from .errors import HTTPException as HTTPException
from .errors import InvalidData as InvalidData
from .errors import InvalidParameter as InvalidParameter
from .errors import ProtocolError as ProtocolError
from .errors import StartupError as StartupError
from .errors import SubscriptionRefused as SubscriptionRefused
from .errors import WebSocketDisconnect as WebSocketDisconnect
from .errors import WebSocketException as WebSocketException
from .errors import WebSocketStateError as WebSocketStateError
from .eventstream import EventStream as EventStream
from .forwarded import ForwardedHeaders as ForwardedHeaders
from .hub import Envelope as Envelope
from .hub import Gap as Gap
from .hub import History as History
from .hub import Hub as Hub
from .hub import HubStatistics as HubStatistics
from .hub import Lag as Lag
from .hub import Member as Member
from .hub import Overflow as Overflow
from .hub import Position as Position
from .hub import PresenceEvent as PresenceEvent
from .hub import Publications as Publications
from .hub import Published as Published
from .hub import Receipt as Receipt
from .hub import StandardEnvelope as StandardEnvelope
from .hub import Subscription as Subscription
from .hub import TopicStatistics as TopicStatistics
from .limits import Limits as Limits
from .routing import WebSocketRoute as WebSocketRoute
from .server import serve as serve
from .websocket import WebSocket as WebSocket

# The program decides what is logged, and where; without this Python would print our warnings by itself.
_logging.getLogger(__name__).addHandler(_logging.NullHandler())
