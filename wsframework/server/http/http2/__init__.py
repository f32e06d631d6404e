"""HTTP/2 of hypercorn, in which WebSockets are our own (RFC 8441).

- `connection` has the tasks and the life of one connection, `tasks` the nurseries of its applications.
- `gate` looks at frames before the parser gets them.
- `protocol` does what they say, and sends.
- `connect` reads the request that asks for a WebSocket as an upgrade. `stream` is that WebSocket's wire, `carrier` what
  carries the bytes of all of them.
- `body` keeps the body of a plain request for its application.
"""
