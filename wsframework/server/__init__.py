"""Our own server: it takes the socket, speaks WebSocket, and leaves HTTP to hypercorn.

Where things are, in the order in which a connection meets them:

- The server: `server` with its `lifespan`, `watchdog` and `statistics`.
- Sockets: `listeners` and the `binds` they are opened from, an `acceptor` for each, and `admission`.
- The way in: `reception` sends a connection on the `reactorpath` or the `portablepath`, the folder `head` judges its
  request head, `lingering` is how one ends that is refused. `apprunner` runs the application, `drain` sees clients off.
- Wires, which carry bytes without anybody waiting: `wire` is what they have in common, `reactor` and `tls` the sockets
  of all connections in one task, `streams` any Trio stream. `wirestream` is a wire as a stream.
- A WebSocket: `connection` with its `ending`, `intake`, `denial`, `frames`, their `framereader`, `partial` messages,
  `deflate`, `pings`, `keepalive`, `throttle`, `sender` and `outbox`; its `scope`; its `departure`.
- The folder `http`: every request that is no WebSocket of HTTP/1.1, and hypercorn.
- For all of them: `upkeep` looks after deadlines, `containment` after errors, `access` fills in the access log.
"""

from ..access_log import AccessRecord as AccessRecord
from ..access_log import JSONFormatter as JSONFormatter
from .server import Server as Server
from .server import serve as serve
from .statistics import ServerStatistics as ServerStatistics
