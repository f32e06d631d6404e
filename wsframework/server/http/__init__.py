"""HTTP that is no WebSocket of HTTP/1.1: it is hypercorn's, and this folder is all that knows how hypercorn is made.

- `handoff` gives a connection to hypercorn's Trio server, and may get it back.
- `http1` and the folder `http2` are that server's connection for each of the two versions, `connection` what these
  have in common. A WebSocket over HTTP/2 is our own there.
- `requests` stands before hypercorn's HTTP/1.1 and gives it one request at a time, `http2.gate` before its HTTP/2, and
  `floods` counts for both.

Of hypercorn only ``Config`` and ``serve`` are documented API, the rest changed in 0.13 and in 0.17. So the dependency
is pinned, and the tests in `tests/net` of HTTP and of HTTP/2 are the contract.
"""
