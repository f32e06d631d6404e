"""TLS over a wire of the reactor: the same calls on both of its sides, with an ``ssl.SSLObject`` in between.

trio's ``SSLStream`` needs a task that reads and one that writes for every connection, and each message pays for two
task switches. Here the records are decrypted where the bytes arrive and encrypted where they leave, so a secure
connection has what a plain one has: no task, a socket that is always watched, and a switch that holds it.

Bounds. What one read of the socket brings is decrypted at once and handed on whole, so nothing waits in here while the
wire is held. On the way out at most `SEND_SIZE` of what was taken is still in here as records; the connection does not
get rid of more before the socket has taken these.

Records without data. A client can have new keys computed at every 27 bytes that it sends, and answered (RFC 8446
section 4.6.3): a read of the socket that is full of these would be felt by everybody. The RFC has no limit, and OpenSSL
none. No client needs more than a few, so one that sends many is cut off, as is one that does not read the answers.

The end. `shut_down` sends a ``close_notify`` and then ends our direction of the TCP connection (RFC 8446 section 6.1).
A client that ends its own without one is not told from one that sends it: what counts is the close frame, or the
length of a response, which nobody can cut off unnoticed.
"""

from __future__ import annotations

import errno
import ssl

from hypercorn.config import Config

from ..errors import StartupError
from .wire import RECEIVE_SIZE, SEND_SIZE, Receiver, StartableWire

# The buffers on both sides of an SSLObject grow to four thirds of what is put into them at once, and never shrink. With
# a record at a time they stay at 22 KiB each, and do not grow to four thirds of a read. (OpenSSL's own are freed while
# they are not needed, as CPython asks it to.)
_SLICE = 16 * 1024

# Bytes that may come after the handshake before any of them are data. A record has 16 KiB and a little, so it may be
# twice as many.
_WITHOUT_DATA = 2 * _SLICE

# Bytes that OpenSSL itself may answer to one slice: a new key takes 27, an alert 24.
_ANSWERS = 1024

# Bytes of records that may wait when there is an answer among them: what `send` leaves here at most, and some answers.
_WAITING = SEND_SIZE + _SLICE


class TLSWire:
    """The server's end of a TLS connection. It owns the wire below.

    The handshake begins with the first bytes that come. It has no deadline of its own: a receiver that waits for a
    request head waits for the handshake before it, too. One that fails is told as a client that has left.

    Args:
        wire: carries the records.
        context: the certificate, and what else belongs to the server's side.
    """

    __slots__ = (
        "_broken",
        "_ended",
        "_incoming",
        "_outgoing",
        "_ready",
        "_receiver",
        "_records",
        "_shut",
        "_started",
        "_tls",
        "_untold",
        "_wanted",
        "_wire",
        "_without_data",
    )

    def __init__(self, wire: StartableWire, context: ssl.SSLContext) -> None:
        self._wire = wire
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._records: bytes | memoryview = b""  # that the wire below has not taken yet
        self._ready = False  # the handshake is done
        self._wanted = False  # the receiver wants to write
        self._shut = False  # we have said that we send no more
        self._started = False
        self._ended = False  # the receiver was told that no more comes
        self._untold = False  # but there is another one since
        self._broken = False  # the wire takes no more
        self._without_data = 0  # bytes that came since the last data

    def start(self, receiver: Receiver) -> None:
        """Receive for this one from now on."""
        self._receiver = receiver
        if not self._started:
            self._started = True
            self._wire.start(self)
        elif (
            self._ended
        ):  # which the socket may not tell again: so that this one is told, and not in the middle of this
            self._untold = True
            self._wire.ask_to_write()

    @property
    def behind(self) -> bool:
        """Some of what it took has not been taken by the system yet."""
        return bool(self._records)

    # What the wire below calls

    def received(self, data: bytes) -> None:
        if not data:
            self._receiver.received(b"")
            return
        if self._ended:
            return  # the socket may have more, until the receiver has closed it
        pieces: list[bytes] = []
        there = self._decrypt(data, pieces)
        if self._outgoing.pending:  # the handshake, an answer to a new key, or an alert
            there = self._push() and len(self._records) <= _WAITING and there
        if pieces:
            self._receiver.received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if not there:
            self._ended = True
            self._receiver.received(b"")

    def _decrypt(self, data: bytes, pieces: list[bytes]) -> bool:
        """Collect what the records say. False: there will be no more."""
        if len(data) <= _SLICE:
            return self._decrypt_slice(data, pieces)
        for at in range(0, len(data), _SLICE):
            if not self._decrypt_slice(memoryview(data)[at : at + _SLICE], pieces):
                return False
        return True

    def _decrypt_slice(self, data: bytes | memoryview, pieces: list[bytes]) -> bool:
        self._incoming.write(data)
        if not self._ready:
            return self._decrypt_records(pieces)
        before, answers = len(pieces), self._outgoing.pending
        there = self._decrypt_records(pieces)
        self._without_data = 0 if len(pieces) > before else self._without_data + len(data)
        return there and self._without_data <= _WITHOUT_DATA and self._outgoing.pending - answers <= _ANSWERS

    def _decrypt_records(self, pieces: list[bytes]) -> bool:
        try:
            if not self._ready:
                self._tls.do_handshake()
                self._ready = True
            while self._incoming.pending:
                data = self._tls.read(RECEIVE_SIZE)
                if not data:
                    return False
                pieces.append(data)
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLError:
            return False
        return True

    def writable(self) -> None:
        if self._untold:
            self._untold = False
            self._receiver.received(b"")
        if not self._push():
            self._broken = True
            self._receiver.received(b"")
        elif self._records:
            return
        elif self._shut:
            self._wire.shut_down()
            return
        if self._wanted:  # also when it is broken: who waits for room finds that out by sending
            self._wanted = False
            self._receiver.writable()

    def hung_up(self) -> None:
        self._receiver.hung_up()

    def abandon(self) -> None:
        self._receiver.abandon()

    # What the connection calls

    def send(self, data: bytes | memoryview) -> int:
        if not self._ready:
            raise OSError(errno.ENOTCONN, "the TLS handshake is not done")
        if self._broken:
            raise OSError(errno.EPIPE, "the other side is gone")
        rest = memoryview(data)
        while rest and not self._records:
            rest = rest[self._encrypt(rest[:SEND_SIZE]) :]
            self._push_or_raise()
        return len(data) - len(rest)

    def _encrypt(self, data: memoryview) -> int:
        """Add records to those that the wire has to take; return how many bytes are in them."""
        if len(data) <= _SLICE:
            return self._tls.write(data)
        done, records = 0, [self._outgoing.read()]
        while done < len(data):
            done += self._tls.write(data[done : done + _SLICE])
            records.append(self._outgoing.read())
        self._records = b"".join(records)  # there were none, or nothing would be sent
        return done

    def _push_or_raise(self) -> None:
        """Have the wire take records; ask to be told of room if it does not take all of them."""
        records = self._records
        if self._outgoing.pending:
            records = b"".join((records, self._outgoing.read())) if records else self._outgoing.read()
        if not records:
            return
        sent = self._wire.send(records)
        if sent < len(records):
            self._records = memoryview(records)[sent:]
            self._wire.ask_to_write()
        else:
            self._records = b""

    def _push(self) -> bool:
        try:
            self._push_or_raise()
        except OSError:
            return False
        return True

    def ask_to_write(self) -> None:
        self._wanted = True
        self._wire.ask_to_write()

    def hold(self) -> None:
        self._wire.hold()

    def resume(self) -> None:
        self._wire.resume()

    def shut_down(self) -> None:
        self._say_goodbye()
        if not self._records:
            self._wire.shut_down()

    def close(self) -> None:
        if not self._records:  # or the alert would land in the middle of a record
            self._say_goodbye()
        self._wire.close()

    def _say_goodbye(self) -> None:
        if self._shut:
            return
        self._shut = True
        if self._ready:
            try:
                self._tls.unwrap()
            except ssl.SSLError:  # it wants to read the client's, which nobody waits for
                pass
            self._push()


def make_context(config: Config) -> ssl.SSLContext | None:
    """Read the certificate that a configuration names; None if it names none.

    Raises:
        StartupError: it cannot be read.
    """
    files = f"{config.certfile} and {config.keyfile}"
    try:
        context = config.create_ssl_context()
    except ssl.SSLError as error:
        detail = f" ({error.reason})" if error.reason else ""
        raise StartupError(f"{files} are no certificate and its key in PEM format{detail}") from error
    except OSError as error:
        raise StartupError(f"cannot read {files} for TLS: {error.strerror}") from error
    if context is not None:
        # hypercorn sets the options anew, without these. A client could have us compute new keys for ever.
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    return context
