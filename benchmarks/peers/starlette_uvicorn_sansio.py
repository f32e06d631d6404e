"""Starlette on uvicorn with uvloop, ws="websockets-sansio"."""

from ._starlette_app import app
from ._uvicorn import run

if __name__ == "__main__":
    run(app, "websockets-sansio")
