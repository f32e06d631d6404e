"""The request head, with which every connection begins: all that decides about it is in this folder.

Who judges what, from the first byte on:

- `reader` collects bytes: the first must be a letter, there is a limit and a deadline, lines end with CR and LF. It
  tells HTTP/2 from HTTP/1.1, and a proxy's CONNECT from what this server does.
- `plain` reads the head that nearly every client sends, and leaves any other one alone.
- `request` has h11 read that other one, and refuses what h11 lets pass and somebody else may read differently.
- `handshake` judges what asks for a WebSocket (RFC 6455), and builds the answer that accepts it.
- `response` builds the other answers.

Two drive them: `receiver` without a task, on a wire of the reactor, and `reader.read_arrival` in a task, on a stream.
What is no upgrade goes to hypercorn, which reads the same bytes with the same parser. Two parsers that differ on where
a request ends are how requests are smuggled; so later requests of a connection are judged here, too (`http.requests`).
"""
