"""Our own server: it takes the socket, speaks WebSocket, and leaves HTTP to hypercorn."""

from .server import Server as Server
from .server import serve as serve
from .statistics import ServerStatistics as ServerStatistics
