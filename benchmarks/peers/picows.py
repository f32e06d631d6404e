"""picows on uvloop: callbacks from compiled code, no task per connection."""

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from ._port import port
from ._tls import tls_context

MESSAGE = 1024 * 1024  # wsframework's limit; that of picows is ten times this
subscribers: set[WSTransport] = set()


class Echo(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            self.on_message(transport, frame)

    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        transport.send(frame.msg_type, frame.get_payload_as_memoryview())


class Fan(Echo):
    def on_ws_connected(self, transport: WSTransport) -> None:
        subscribers.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        subscribers.discard(transport)

    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_memoryview()
        for subscriber in subscribers:
            subscriber.send(WSMsgType.TEXT, payload)


def listen(request: WSUpgradeRequest) -> WSListener:
    return Fan() if request.path == b"/fan" else Echo()


async def main() -> None:
    server = await ws_create_server(listen, "127.0.0.1", port(), ssl=tls_context(), max_frame_size=MESSAGE)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
