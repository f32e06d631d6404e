"""wsframework with history on: every publication is numbered and remembered, a hundred of them for five minutes."""

from wsframework import History, Hub

from ._wsframework import run

if __name__ == "__main__":
    run(Hub(history=History()))
