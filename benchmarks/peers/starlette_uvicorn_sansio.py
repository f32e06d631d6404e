"""Starlette on uvicorn with uvloop, ws="websockets-sansio"."""

from ._starlette_uvicorn import run

if __name__ == "__main__":
    run("websockets-sansio")
