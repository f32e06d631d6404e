"""wsframework with presence on: every subscriber is a person who is present in the topic."""

from ._wsframework import run

if __name__ == "__main__":
    run(presence={"name": "somebody"})
