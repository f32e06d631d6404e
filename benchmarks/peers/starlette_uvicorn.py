"""Starlette on uvicorn with uvloop, ws="websockets"."""

from ._starlette_uvicorn import run

if __name__ == "__main__":
    run("websockets")
