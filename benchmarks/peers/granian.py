"""Starlette on granian with uvloop, one worker."""

from pathlib import Path

import uvloop  # noqa: F401 - granian looks for it and takes another loop without a word
from granian import Granian  # type: ignore[attr-defined]  # it is there, and not exported
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels

from ._port import port
from ._tls import tls_files

if __name__ == "__main__":
    certificate, key = tls_files()
    # Its worker is a process of its own and imports the application by name. WebSocket compression it does not have.
    Granian(
        "benchmarks.peers._starlette_app:app",
        address="127.0.0.1",
        port=port(),
        interface=Interfaces.ASGINL,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        log_level=LogLevels.warning,
        log_access=False,
        ssl_cert=None if certificate is None else Path(certificate),
        ssl_key=None if key is None else Path(key),
    ).serve()
