"""WebSocket services on Trio: endpoints, a hub to broadcast through, and the server they run on."""

from ._version import __version__ as __version__
from .app import App as App
from .close import CloseCode as CloseCode
from .endpoint import WebSocketEndpoint as WebSocketEndpoint
from .errors import ClientError as ClientError
from .errors import InvalidData as InvalidData
from .errors import ProtocolError as ProtocolError
from .errors import StartupError as StartupError
from .errors import SubscriptionRefused as SubscriptionRefused
from .errors import WebSocketDisconnect as WebSocketDisconnect
from .errors import WebSocketStateError as WebSocketStateError
from .hub import Gap as Gap
from .hub import Hub as Hub
from .hub import HubStatistics as HubStatistics
from .hub import Lag as Lag
from .hub import Overflow as Overflow
from .hub import Position as Position
from .hub import Receipt as Receipt
from .hub import Subscription as Subscription
from .hub import TopicStatistics as TopicStatistics
from .limits import Limits as Limits
from .routing import WebSocketRoute as WebSocketRoute
from .server import serve as serve
from .websocket import WebSocket as WebSocket
