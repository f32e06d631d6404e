"""Our own server: it takes the socket, speaks WebSocket, and leaves HTTP to hypercorn."""

from ..access_log import AccessRecord as AccessRecord
from ..access_log import JSONFormatter as JSONFormatter
from .server import Server as Server
from .server import serve as serve
from .statistics import ServerStatistics as ServerStatistics
