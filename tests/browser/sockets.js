// WebSockets whose other side is the test: it opens them, sends to them and loses them when it likes.

const sockets = [];

class FakeSocket {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;

  readyState = FakeSocket.CONNECTING;
  sent = [];
  closedWith = null;

  constructor(url) {
    this.url = String(url);
    sockets.push(this);
  }

  // The page's side

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    if (this.readyState < FakeSocket.CLOSING) this.closedWith = code;
    this.readyState = FakeSocket.CLOSED;
  }

  // The test's side

  open() {
    this.readyState = FakeSocket.OPEN;
    this.onopen?.({});
  }

  receive(...messages) {
    for (const message of messages) this.onmessage?.({ data: JSON.stringify(message) });
  }

  lose(code = 1006, reason = "") {
    this.readyState = FakeSocket.CLOSED;
    this.onclose?.({ code, reason });
  }
}

window.WebSocket = FakeSocket;
