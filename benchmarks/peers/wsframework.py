"""wsframework through the full WebSocketEndpoint; fan-out through the hub."""

from ._wsframework import run

if __name__ == "__main__":
    run()
