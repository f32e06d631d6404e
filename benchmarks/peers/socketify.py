"""socketify, which is uWebSockets behind Python callbacks; fan-out through its topics."""

from typing import Any

from socketify import App, AppListenOptions, AppOptions, CompressOptions, OpCode

from ._port import port
from ._tls import tls_files

MESSAGE = 1024 * 1024  # wsframework's limit; socketify's own is 16 KiB

certificate, key = tls_files()
app = App(AppOptions(key_file_name=key, cert_file_name=certificate) if certificate else None)


def echo(websocket: Any, message: Any, opcode: OpCode) -> None:
    websocket.send(message, opcode)


def subscribe(websocket: Any) -> None:
    websocket.subscribe("fan")


def fan(websocket: Any, message: Any, opcode: OpCode) -> None:
    app.publish("fan", message, opcode)  # websocket.publish would leave out the one who published


# Frames are queued up to max_backpressure for a client that does not read; after that they are dropped for it.
OPTIONS = {
    "compression": CompressOptions.DISABLED,
    "max_payload_length": MESSAGE,
    "max_backpressure": 16 * MESSAGE,
    "idle_timeout": 120,
}
app.ws("/echo", {**OPTIONS, "message": echo})
app.ws("/fan", {**OPTIONS, "open": subscribe, "message": fan})

if __name__ == "__main__":
    app.listen(AppListenOptions(port=port(), host="127.0.0.1"))
    app.run()
